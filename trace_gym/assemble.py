"""A training run from a configuration: names become parts, a folder becomes a run, and the loop is started.

This is what `trace-gym train` calls, and what a program calls to do the same. Leaves out printing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from trace_gym.config import RunConfig, parse
from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig, RunFolderError
from trace_gym.core.task import Split
from trace_gym.environment.registry import Suite, suite
from trace_gym.evaluate import EvalConfig
from trace_gym.loop import Limits, LoopConfig, Outcome, Parts, Reporter, TrainingRun
from trace_gym.model.load import load_weights
from trace_gym.parts import make_predictor, make_scheduler
from trace_gym.policies import OpenPolicy, Voice, find_model, open_policy
from trace_gym.rollout.player import CollectorConfig
from trace_gym.rollout.stream import Source, TaskStream
from trace_gym.store import RunStatus, Store
from trace_gym.train.config import TrainConfig
from trace_gym.train.trainer import Trainer
from trace_gym.train.warmstart import CloningStep
from trace_gym.warm import WarmConfig

POOL_PER_TRAJECTORY = 1.0
"""Candidates per trajectory of a step where neither the configuration nor the scheduler says."""


class Narrator(Reporter, Protocol):
    """A reporter that is also told of a warm start."""

    def warming(self, step: CloningStep) -> None:
        """Progress of a warm start."""
        ...


def train(
    config: RunConfig, folder: Path, *, resume: bool = False, narrator: Narrator, cache: Path | None = None
) -> Outcome:
    """Run `config` in `folder`, which must be new; with `resume`, go on with the run it holds. A wrong
    configuration is found before anything is written.

    Raises RunFolderError, UnknownName, BadConfig, MissingExtra, and what stopped the run.
    """
    check(config)
    recorded = config.model_dump(mode="json", exclude_none=True)
    opened = Store.open(folder) if resume else Store.create(folder, kind="train", config=recorded)
    with opened as store:
        _demand_training(store)
        if store.config != recorded:
            raise RunFolderError(f"{folder} was started with another configuration; it cannot be continued")
        return train_in(store, config, narrator=narrator, cache=cache)


def train_in(store: Store, config: RunConfig, *, narrator: Narrator, cache: Path | None = None) -> Outcome:
    """Run `config` in an open run folder, from where the folder stands; its status tells how that ended.
    Raises as `train` does."""
    store.set_status(RunStatus.RUNNING)
    with ExitStack() as stack:
        stack.push(partial(_note_end, store))
        suites = _suites(config)
        model = _model(config, suites, store, narrator, cache)
        voice = Voice(
            config.agent.renderer, config.agent.max_tokens, config.agent.temperature, config.agent.top_p
        )
        opened = open_policy(
            config.policy.model,
            model,
            voice,
            dtype=config.policy.dtype,
            device=config.policy.device,
            context_size=config.policy.context,
        )
        stack.callback(opened.close)
        parts = _parts(config, suites, opened, _trainer(config, opened, store))
        loop = LoopConfig(
            steps=config.run.steps,
            pool=_pool(config, parts),
            step=_step_limits(config),
            keep=config.run.keep,
            eval_every=config.eval.every,
        )
        purse = Budget(**_limits(config))
        return asyncio.run(TrainingRun(parts, store, purse, config=loop, reporter=narrator).go())


def recorded(folder: Path) -> RunConfig:
    """The configuration that the run in `folder` was started with. Raises RunFolderError."""
    with Store.open(folder, read_only=True) as store:
        _demand_training(store)
        return parse(store.config)


def check(config: RunConfig) -> Mapping[str, str]:
    """What a run would do, without starting it: every name and option is looked up, nothing is loaded or
    written. Raises as `train` does for what is wrong."""
    suites = _suites(config)
    scheduler = make_scheduler(config.scheduler.name, config.scheduler.options, seed=config.run.seed)
    make_predictor(config.predictor.name, config.predictor.options, seed=config.run.seed)
    _train_config(config)
    stream = _stream(config, suites)
    size = config.run.pool or scheduler.pool_size or _default_pool(config)
    held_out = [suite(spec) for spec in config.eval.suites] or suites
    return {
        "candidates a step": ", ".join(f"{name} {count}" for name, count in stream.settled(size).items()),
        "training tasks": ", ".join(f"{s.spec} {len(s.tasks(Split.TRAIN))}" for s in suites),
        "held-out tasks": ", ".join(f"{s.spec} {len(s.tasks(Split.TEST))}" for s in held_out),
    }


def _demand_training(store: Store) -> None:
    if store.kind != "train":
        raise RunFolderError(
            f"{store.folder} holds a run of kind {store.kind!r}; only training is resumed here"
        )


def _note_end(store: Store, error: type[BaseException] | None, *_: object) -> None:
    """Say how a run ended that did not finish."""
    if error is not None:
        stopped = issubclass(error, KeyboardInterrupt | asyncio.CancelledError)
        store.set_status(RunStatus.INTERRUPTED if stopped else RunStatus.FAILED)


def _suites(config: RunConfig) -> list[Suite]:
    suites = [suite(section.spec) for section in config.suites]
    names = [each.name for each in suites]
    if len(set(names)) < len(names):
        raise BadConfig("a run takes each suite once; name its subsets' shares by listing tasks instead")
    return suites


def _model(
    config: RunConfig, suites: list[Suite], store: Store, narrator: Narrator, cache: Path | None
) -> str | Path:
    """The weights to start from: the newest checkpoint of this run, else the configured model."""
    saved = store.checkpoints()
    if saved:
        return saved[-1][1].path
    return find_model(
        config.policy.model,
        suites,
        warm=warm_config(config),
        cache=cache,
        note=narrator.note,
        progress=narrator.warming,
    )


def warm_config(config: RunConfig) -> WarmConfig:
    """How `tiny` is made for this run."""
    return WarmConfig(**config.warmstart.model_dump())


def _trainer(config: RunConfig, opened: OpenPolicy, store: Store) -> Trainer:
    """A trainer with weights of its own, from the run's newest checkpoint if there is one."""
    settings = _train_config(config)
    saved = store.checkpoints()
    if saved:
        return Trainer.resume(saved[-1][1].path, config=settings)
    model = load_weights(opened.loaded.path, dtype=torch.float32)
    return Trainer(model, settings, source=opened.loaded.path)


def _train_config(config: RunConfig) -> TrainConfig:
    if not config.agent.temperature:
        raise BadConfig("agent.temperature 0 samples the same rollout again and again; training needs more")
    try:
        return TrainConfig(
            **config.train.model_dump(), seed=config.run.seed, temperature=config.agent.temperature
        )
    except ValueError as error:
        raise BadConfig(f"section 'train': {error}") from error


def _parts(config: RunConfig, suites: list[Suite], opened: OpenPolicy, trainer: Trainer) -> Parts:
    run = config.run
    return Parts(
        stream=_stream(config, suites),
        suites={each.name: each for each in suites},
        agent=opened.agent,
        policy=opened.policy,
        trainer=trainer,
        scheduler=make_scheduler(config.scheduler.name, config.scheduler.options, seed=run.seed),
        predictor=make_predictor(config.predictor.name, config.predictor.options, seed=run.seed),
        collecting=CollectorConfig(
            seed=run.seed, workers=run.workers, turn_tokens=config.agent.max_tokens, training=True
        ),
        eval_suites=[suite(spec) for spec in config.eval.suites] or suites,
        eval_config=EvalConfig(
            attempts=config.eval.k,
            tasks=config.eval.tasks,
            seed=run.seed,
            workers=run.workers,
            turn_tokens=config.agent.max_tokens,
        ),
        renderer=opened.renderer,
    )


def _stream(config: RunConfig, suites: list[Suite]) -> TaskStream:
    sources = [
        Source(each.name, each.tasks(Split.TRAIN), section.share, section.floor)
        for each, section in zip(suites, config.suites, strict=True)
    ]
    return TaskStream(sources, config.run.seed)


def _pool(config: RunConfig, parts: Parts) -> int:
    return config.run.pool or parts.scheduler.pool_size or _default_pool(config)


def _default_pool(config: RunConfig) -> int:
    trajectories = config.budget.step_trajectories
    if trajectories is None:
        raise BadConfig("say how many candidates a step has: run.pool, or budget.step_trajectories")
    return max(1, round(POOL_PER_TRAJECTORY * trajectories))


def _limits(config: RunConfig) -> Limits:
    """The purse of the run."""
    b = config.budget
    return Limits(trajectories=b.trajectories, tokens=b.tokens, seconds=b.seconds, usd=b.usd)


def _step_limits(config: RunConfig) -> Limits:
    """The purse of one step."""
    b = config.budget
    return Limits(
        trajectories=b.step_trajectories, tokens=b.step_tokens, seconds=b.step_seconds, usd=b.step_usd
    )
