"""A training run from a configuration: names become parts, a folder becomes a run, and the loop is started.

This is what `trace-gym train` calls, and what a program calls to do the same. Leaves out printing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trace_gym.config import RunConfig, differing, parse
from trace_gym.core.budget import Budget, Pace
from trace_gym.core.errors import BadConfig, RunFolderError, unknown
from trace_gym.core.heap import settled
from trace_gym.core.policy import Policy
from trace_gym.core.scheduler import Scheduler
from trace_gym.core.task import Split
from trace_gym.environment.registry import Suite, suite
from trace_gym.evaluate import EvalConfig
from trace_gym.loop import TrainingRun
from trace_gym.outfit import LoopConfig, Outcome, Parts, Reporter
from trace_gym.parts import make_predictor, make_scheduler
from trace_gym.policies import OpenPolicy, Voice, demand_policy, find_model, open_policy, taken_up
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.settings import (
    demand_payable,
    oldest,
    run_limits,
    step_limits,
    train_config,
    unlike_method,
    watch_config,
)
from trace_gym.sources import chosen_tasks, stream_of
from trace_gym.store import RunStatus, Store
from trace_gym.store.tensorboard import TensorBoard
from trace_gym.train.lead import Leader, Start, follow, lead
from trace_gym.train.trainer import Trainer
from trace_gym.train.warmstart import CloningStep
from trace_gym.train.watchdog import GAPS, Watchdogs
from trace_gym.warm import WarmConfig

if TYPE_CHECKING:
    from trace_gym.rollout.ray_actors import Cluster

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
    """Run `config` in `folder`, which must be new; with `resume`, go on with the run it holds, which may have
    been at work in another place (`config.place`). A wrong configuration is found before anything is written.

    Raises RunFolderError, UnknownName, BadConfig, MissingExtra, and what stopped the run.
    """
    check(config)
    recorded = config.model_dump(mode="json", exclude_none=True)
    opened = Store.open(folder) if resume else Store.create(folder, kind="train", config=recorded)
    with opened as store:
        _demand_training(store)
        # parsed: an older run's record lacks the keys that came since
        if others := differing(parse(store.config), config):
            raise RunFolderError(
                f"{folder} was started with another configuration; it cannot be continued with a changed "
                f"{', '.join(others)}"
            )
        return train_in(store, config, narrator=narrator, cache=cache)


def train_in(store: Store, config: RunConfig, *, narrator: Narrator, cache: Path | None = None) -> Outcome:
    """Run `config` in an open run folder, from where the folder stands; its status tells how that ended.
    Raises as `train` does."""
    store.set_status(RunStatus.RUNNING)
    with ExitStack() as stack:
        stack.push(store.note_end)
        for sentence in unlike_method(config):
            narrator.note(sentence)
        suites = _suites(config)
        model = _model(config, suites, store, narrator, cache)
        agent = config.agent
        voice = Voice(agent.renderer, agent.max_tokens, agent.temperature, agent.top_p)
        cluster = stack.enter_context(_cluster(config))
        opened = open_policy(
            config.policy.model,
            model,
            voice,
            dtype=config.policy.dtype,
            device=config.policy.device,
            context_size=config.policy.context,
            folder=store.folder / "vllm",
            elsewhere=_replicas(config, cluster),
            lora_rank=config.train.lora_rank,
        )
        stack.callback(opened.close)
        trainer = _trainer(config, opened, store)
        if isinstance(trainer, Leader):
            stack.callback(trainer.close)
        parts = _parts(config, suites, opened, trainer)
        if cluster is not None:
            from trace_gym.rollout.cluster import seats_on  # needs the extra `cluster`

            parts.seats = seats_on(cluster)
        loop = LoopConfig(
            steps=config.run.steps,
            pool=_pool(config, parts),
            step=step_limits(config),
            keep=config.run.keep,
            eval_every=config.eval.every,
            max_staleness=config.run.max_staleness,
            replay=config.train.replay,
        )
        purse, sink = Budget(**run_limits(config)), None
        if config.run.tensorboard:
            board = TensorBoard(store.folder, first=store.next_step())
            sink = stack.enter_context(board).scalars
        run = TrainingRun(parts, store, purse, config=loop, reporter=narrator, sink=sink)
        stack.enter_context(settled())
        return asyncio.run(run.go())


def _cluster(config: RunConfig) -> AbstractContextManager[Cluster | None]:
    """The cluster that the configuration names, if it names one. Raises BadConfig, MissingExtra."""
    if config.cluster.address is None:
        return nullcontext()
    from trace_gym.rollout.ray_actors import Cluster  # needs the extra `cluster`

    return Cluster(config.cluster.address)


def _replicas(config: RunConfig, cluster: Cluster | None) -> Callable[[Path], Policy] | None:
    """What makes the policy on the cluster's nodes, if it is to be sampled there."""
    if cluster is None or not config.cluster.replicas:
        return None
    from trace_gym.rollout.replicas import open_replicas

    policy = config.policy
    options = {"dtype": policy.dtype, "device": policy.device, "context_size": policy.context}
    return partial(open_replicas, cluster, options=options, gpus=config.cluster.gpus)


def recorded(folder: Path) -> RunConfig:
    """The configuration that the run in `folder` was started with. Raises RunFolderError."""
    with Store.open(folder, read_only=True) as store:
        _demand_training(store)
        return parse(store.config)


def check(config: RunConfig) -> Mapping[str, str]:
    """What a run would do, without starting it: every name and option is looked up, nothing is loaded or
    written. Raises as `train` does for what is wrong."""
    suites = _suites(config)
    demand_policy(config, suites)
    scheduler = _scheduler(config, suites)
    make_predictor(config.predictor.name, config.predictor.options, seed=config.run.seed)
    train_config(config)
    watch_config(config)
    stream = stream_of(config, suites)
    size = config.run.pool or scheduler.pool_size or _default_pool(config)
    demand_payable(config, partial(_scheduler, config, suites), stream.pool(0, size))
    held_out = [suite(spec) for spec in config.eval.suites] or suites
    return {
        "candidates a step": ", ".join(f"{name} {count}" for name, count in stream.settled(size).items()),
        "training tasks": ", ".join(
            f"{s.spec} {len(chosen_tasks(s, section))}"
            for s, section in zip(suites, config.suites, strict=True)
        ),
        "held-out tasks": ", ".join(f"{s.spec} {len(s.tasks(Split.TEST))}" for s in held_out),
    }


def _demand_training(store: Store) -> None:
    if store.kind != "train":
        raise RunFolderError(
            f"{store.folder} holds a run of kind {store.kind!r}; only training is resumed here"
        )


def _suites(config: RunConfig) -> list[Suite]:
    suites = [suite(section.spec) for section in config.suites]
    names = [each.name for each in suites]
    if len(set(names)) < len(names):
        raise BadConfig("a run takes each suite once; several subsets of it are written suite:one+two")
    return suites


def _model(
    config: RunConfig, suites: list[Suite], store: Store, narrator: Narrator, cache: Path | None
) -> str | Path:
    """The weights to start from: those of this run's newest checkpoint, else the configured model."""
    saved = store.checkpoints()
    if saved:
        return taken_up(config.policy.model, saved[-1][1].path)
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


def _trainer(config: RunConfig, opened: OpenPolicy, store: Store) -> Trainer | Leader:
    """A trainer with weights of its own, from the run's newest checkpoint if there is one, on the policy's
    device."""
    saved = store.checkpoints()
    start = Start(saved[-1][1].path if saved else opened.folder, bool(saved))
    return lead(start, train_config(config), device=opened.device)


def assist(config: RunConfig) -> None:
    """What every process but the first does, of those that torchrun started for a run: its part of the
    training."""
    follow(train_config(config), device=config.policy.device)


def _watchdogs(config: RunConfig, opened: OpenPolicy) -> Watchdogs:
    """The watchdogs, tolerant of what the precision of sampler and trainer explains."""
    gaps = [GAPS.get(dtype, GAPS["bfloat16"]) for dtype in (opened.dtype, config.train.dtype)]
    return Watchdogs(watch_config(config), max(gaps), max_staleness=oldest(config))


def _parts(config: RunConfig, suites: list[Suite], opened: OpenPolicy, trainer: Trainer | Leader) -> Parts:
    run = config.run
    return Parts(
        stream=stream_of(config, suites),
        suites={each.name: each for each in suites},
        agent=opened.agent,
        policy=opened.policy,
        trainer=trainer,
        scheduler=_scheduler(config, suites),
        predictor=make_predictor(config.predictor.name, config.predictor.options, seed=run.seed),
        collecting=CollectorConfig(
            seed=run.seed,
            workers=run.workers,
            turn_tokens=config.agent.max_tokens,
            training=True,
            tool_latency_s=run.tool_latency_s,
            pace=None if run.pace is None else Pace(*run.pace),
        ),
        eval_suites=[suite(spec) for spec in config.eval.suites] or suites,
        eval_config=EvalConfig(
            split=Split(config.eval.split),
            attempts=config.eval.k,
            tasks=config.eval.tasks,
            seed=run.seed,
            workers=run.workers,
            turn_tokens=config.agent.max_tokens,
            screenshots=run.screenshots,
        ),
        renderer=opened.renderer,
        temperature=config.agent.temperature,
        watchdogs=_watchdogs(config, opened),
    )


def _scheduler(config: RunConfig, suites: list[Suite]) -> Scheduler:
    """Who spends the budget; the suites' floors are its own too. Raises UnknownName, BadConfig."""
    named = zip(suites, config.suites, strict=True)
    floors = {each.name: section.floor for each, section in named if section.floor}
    options = {**({"floors": floors} if floors else {}), **config.scheduler.options}
    scheduler = make_scheduler(config.scheduler.name, options, seed=config.run.seed)
    names = [each.name for each in suites]
    for name in options.get("floors") or ():
        if name not in names:
            raise unknown("suite of scheduler.options.floors", name, names)
    return scheduler


def _pool(config: RunConfig, parts: Parts) -> int:
    return config.run.pool or parts.scheduler.pool_size or _default_pool(config)


def _default_pool(config: RunConfig) -> int:
    trajectories = config.budget.step_trajectories
    if trajectories is None:
        raise BadConfig("say how many candidates a step has: run.pool, or budget.step_trajectories")
    return max(1, round(POOL_PER_TRAJECTORY * trajectories))
