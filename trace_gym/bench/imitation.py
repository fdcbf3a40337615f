"""The imitation control: the warm policy clones more of the oracle's episodes, as many tokens as others
sample.

It uses demonstrations and says so; it shows what is to be had where an oracle may be imitated. Leaves out
rollouts: nothing is sampled.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from trace_gym.assemble import Narrator, warm_config
from trace_gym.bench.curve import Point
from trace_gym.config import RunConfig
from trace_gym.core.episode import Actor
from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Split
from trace_gym.core.tree import Forest
from trace_gym.environment.registry import suite
from trace_gym.evaluate import EvalConfig, Report, evaluate
from trace_gym.model.load import load_model, load_weights
from trace_gym.model.quiet import quiet
from trace_gym.policies import Voice, find_model, open_policy
from trace_gym.sources import chosen_tasks
from trace_gym.train.warmstart import warm_start
from trace_gym.warm import demonstrate

LR = 3e-4
"""Where the settings of the method say nothing: the peak of a cosine, below the warm start's."""


def imitate(config: RunConfig, narrator: Narrator, *, cache: Path | None = None) -> dict[str, Any]:
    """Clone `config.budget.tokens` tokens of the oracle on the tasks that others train on; evaluate before
    and after. Raises BadConfig without a budget of tokens."""
    budget = config.budget.tokens
    if budget is None:
        raise BadConfig("the imitation control needs a budget of tokens")
    suites = [suite(section.spec) for section in config.suites]
    warm = warm_config(config)
    model = find_model(
        config.policy.model, suites, warm=warm, cache=cache, note=narrator.note, progress=narrator.warming
    )
    before = _evaluated(config, model)
    tasks = [
        task
        for each, section in zip(suites, config.suites, strict=True)
        for task in chosen_tasks(each, section)
    ]
    source = load_model(model).path
    demos = demonstrate(suites, warm, source, tasks=tasks[: warm.demos])
    steps = max(1, round(budget / (_oracle_share(demos) * warm.batch_tokens)))
    student = load_weights(source, dtype=torch.float32)
    found = warm_start(
        student,
        [demos],
        steps=steps,
        batch_tokens=warm.batch_tokens,
        lr=config.train.lr if "lr" in config.train.model_fields_set else LR,
        seed=config.run.seed,
    )
    with TemporaryDirectory() as scratch:
        taught = Path(scratch) / "taught"
        shutil.copytree(source, taught)
        with quiet():
            student.save_pretrained(taught)
        after = _evaluated(config, taught)
    curve = [
        _point(0, before, tokens=0.0, steps=0.0, seconds=0.0),
        _point(1, after, tokens=found["tokens"], steps=found["steps"], seconds=found["seconds"]),
    ]
    return {"curve": [point.json() for point in curve], "steps": [], "reason": "all tokens cloned"}


def _evaluated(config: RunConfig, model: str | Path) -> Report:
    suites = [suite(spec) for spec in config.eval.suites or [s.spec for s in config.suites]]
    settings = EvalConfig(
        split=Split(config.eval.split),
        attempts=config.eval.k,
        tasks=config.eval.tasks,
        seed=config.run.seed,
        workers=config.run.workers,
        turn_tokens=config.agent.max_tokens,
    )
    voice = Voice(
        config.agent.renderer, config.agent.max_tokens, config.agent.temperature, config.agent.top_p
    )
    opened = open_policy(config.policy.model, model, voice, context_size=config.policy.context)
    try:
        return asyncio.run(evaluate(suites, opened.agent, config=settings))
    finally:
        opened.close()


def _oracle_share(forest: Forest) -> float:
    """The part of the demonstrations' tokens that the oracle acted with."""
    acted = total = 0
    for tree in forest.trees:
        for turn in tree.turns:
            total += len(turn.context_ids) + len(turn.action_ids)
            acted += len(turn.action_ids) if turn.actor is Actor.ORACLE else 0
    if not acted:
        raise BadConfig("there is nothing to imitate: no turn of the oracle has tokens")
    return acted / total


def _point(step: int, report: Report, *, tokens: float, steps: float, seconds: float) -> Point:
    success = report.success
    return Point(
        step=step,
        success=success.mean or 0.0,
        low=success.low or 0.0,
        high=success.high or 0.0,
        tokens=tokens,
        trajectories=0.0,
        optimiser_steps=steps,
        turns=0.0,
        latency_s=0.0,
        seconds=seconds,
    )
