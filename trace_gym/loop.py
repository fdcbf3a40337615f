"""The circle, closed in one place: policy -> rollouts -> trees -> better policy, step by step, until the
budget or the number of steps is used up.

Everything that must outlive a crash is in the run folder before the next thing starts: turns and decisions in
the journal, weights and what goes with them in `checkpoints/`. A resumed run loads the newest checkpoint and
plays the next step from the journal as far as that goes. It leaves out how parts are made from names.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypedDict

import torch

from trace_gym.core.budget import Budget, Cost
from trace_gym.core.episode import StopReason
from trace_gym.core.errors import TrainingHalted
from trace_gym.core.policy import Checkpoint, Policy
from trace_gym.core.predictor import Predictor
from trace_gym.core.scheduler import Event, Scheduler
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.environment.registry import Suite
from trace_gym.evaluate import EvalConfig, Report, chosen, evaluate
from trace_gym.policies import note_renderer
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.model_agent import ModelAgent
from trace_gym.rollout.player import CollectorConfig
from trace_gym.rollout.stream import TaskStream
from trace_gym.schedule.quality import PredictionQuality, bare_samples
from trace_gym.store import RunStatus, Store
from trace_gym.train.trainer import Trainer


class Reporter(Protocol):
    """Who is told how a run goes."""

    def event(self, tree: RolloutTree, event: Event) -> None:
        """A rollout took a turn or ended."""
        ...

    def step_begins(self, step: int, budget: Budget) -> None:
        """A step is about to be collected."""
        ...

    def step_done(self, step: int, metrics: Mapping[str, float]) -> None:
        """A step is closed."""
        ...

    def evaluated(self, step: int, report: Report) -> None:
        """Held-out tasks were played by the policy after `step` steps."""
        ...

    def note(self, text: str) -> None:
        """Something worth reading."""
        ...


class Limits(TypedDict):
    """Limits of a purse by unit; None is no limit."""

    trajectories: int | None
    tokens: int | None
    seconds: float | None
    usd: float | None


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """`pool`: candidates a step; `step`: limits of one step by budget unit; `keep`: checkpoints kept;
    `eval_every` steps, 0: only before and after."""

    steps: int
    pool: int
    step: Limits
    keep: int = 2
    eval_every: int = 0


@dataclass(slots=True)
class Parts:
    """What a run is made of."""

    stream: TaskStream
    suites: Mapping[str, Suite]
    agent: ModelAgent
    policy: Policy
    trainer: Trainer
    scheduler: Scheduler
    predictor: Predictor | None
    collecting: CollectorConfig
    eval_suites: Sequence[Suite]
    eval_config: EvalConfig
    renderer: str


@dataclass(slots=True)
class Outcome:
    """How a run ended: why, after how many steps, what it cost, and the evaluations by step."""

    reason: str
    steps: int
    cost: Cost
    reports: dict[int, Report] = field(default_factory=dict)


class TrainingRun:
    """Lifecycle: made over an open store, `go` once. `budget` is the run's purse."""

    def __init__(
        self, parts: Parts, store: Store, budget: Budget, *, config: LoopConfig, reporter: Reporter
    ) -> None:
        self._parts = parts
        self._store = store
        self._budget = budget
        self._config = config
        self._reporter = reporter
        self._quality = PredictionQuality()
        self._reports: dict[int, Report] = {}

    async def go(self) -> Outcome:
        """Train until the steps or the budget are used up. Raises what stopped it otherwise."""
        parts, config = self._parts, self._config
        step = await self._take_up()
        for past in filter(self._evaluates, range(step)):
            await self._evaluate(past)
        makers = {name: suite.make for name, suite in parts.suites.items()}
        async with Collector(
            makers,
            parts.agent,
            parts.scheduler,
            journal=self._store,
            predictor=parts.predictor,
            encode=parts.agent.encode,
            listener=self._reporter.event,
            config=parts.collecting,
        ) as collector:
            while step < config.steps and self._budget.open:
                if self._evaluates(step):
                    await self._evaluate(step)
                await self._step(collector, step)
                step += 1
        await self._evaluate(step)
        self._store.set_status(RunStatus.FINISHED)
        reason = "all steps done" if step >= config.steps else "the budget is spent"
        return Outcome(reason, step, self._store.cost(), self._reports)

    async def _step(self, collector: Collector, step: int) -> None:
        parts, config = self._parts, self._config
        purse = Budget(**config.step, parent=self._budget)
        self._reporter.step_begins(step, purse)
        started = time.perf_counter()
        forest = await collector.collect(step, parts.stream.pool(step, config.pool), purse)
        collected = time.perf_counter()
        metrics = described(forest)
        if parts.predictor is not None:
            metrics |= _under("predictor", self._quality.measure(bare_samples(forest, parts.predictor)))
        metrics |= _under("train", await asyncio.to_thread(parts.trainer.update, forest))
        trained = time.perf_counter()
        if parts.predictor is not None:
            metrics |= _under("predictor", parts.predictor.learn(forest))
        metrics |= _under("schedule", parts.scheduler.learn(forest))
        checkpoint = self._save(step)
        await parts.policy.load(checkpoint)
        metrics |= {
            "seconds_collect": collected - started,
            "seconds_train": trained - collected,
            "seconds_rest": time.perf_counter() - trained,
        }
        self._store.close_step(step, metrics)
        self._store.record_checkpoint(checkpoint, step=step)
        self._tidy()
        self._reporter.step_done(step, metrics)
        if metrics.get("train/nonfinite_steps"):
            raise TrainingHalted(
                f"step {step}: the gradient was not finite; lower train.lr, or see the metrics of the run"
            )

    async def _take_up(self) -> int:
        """The first step to play; weights, predictor and scheduler stand where they stood before it."""
        saved = self._store.checkpoints()
        for cost in (cost for step, cost in self._store.ledger().items() if saved and step <= saved[-1][0]):
            self._budget.charge(cost)
        if not saved:
            return 0
        step, checkpoint = saved[-1]
        state = torch.load(checkpoint.path.with_suffix(".loop.pt"), weights_only=True)
        self._parts.scheduler.load_state_dict(state["scheduler"])
        self._quality.load_state_dict(state["quality"])
        if self._parts.predictor is not None:
            self._parts.predictor.load_state_dict(state["predictor"])
        await self._parts.policy.load(checkpoint)
        self._reporter.note(f"resumed after step {step}")
        return step + 1

    def _save(self, step: int) -> Checkpoint:
        """Write what the next step starts from; the journal's checkpoint row makes it count."""
        folder = self._store.folder / "checkpoints" / f"step-{step:05d}"
        folder.parent.mkdir(exist_ok=True)
        predictor = self._parts.predictor
        state = {
            "scheduler": self._parts.scheduler.state_dict(),
            "quality": self._quality.state_dict(),
            "predictor": predictor.state_dict() if predictor is not None else None,
        }
        torch.save(state, folder.with_suffix(".loop.pt"))
        checkpoint = self._parts.trainer.save(folder)
        note_renderer(folder, self._parts.renderer)
        return checkpoint

    def _tidy(self) -> None:
        """Remove all but the newest checkpoints, also those that another of the same version replaced."""
        kept = {checkpoint.path.name for _, checkpoint in self._store.checkpoints()[-self._config.keep :]}
        for state in sorted((self._store.folder / "checkpoints").glob("step-*.loop.pt")):
            folder = state.with_name(state.name.removesuffix(".loop.pt"))
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)
                state.unlink(missing_ok=True)

    def _evaluates(self, step: int) -> bool:
        """Are held-out tasks played before this step?"""
        every = self._config.eval_every
        return step == 0 or (every > 0 and step % every == 0)

    async def _evaluate(self, step: int) -> None:
        """Play held-out tasks, in a run folder of their own inside this one; taken up where it was cut."""
        parts = self._parts
        if not parts.eval_suites:
            return
        folder = self._store.folder / "eval" / f"step-{step:05d}"
        config = {"step": step, "suites": [suite.spec for suite in parts.eval_suites]}
        with Store.create(folder, kind="eval", config=config, exist_ok=True) as journal:
            if journal.status is not RunStatus.FINISHED:
                self._record_access(step)
            report = await evaluate(parts.eval_suites, parts.agent, config=parts.eval_config, journal=journal)
            journal.set_status(RunStatus.FINISHED)
        self._reports[step] = report
        self._reporter.evaluated(step, report)

    def _record_access(self, step: int) -> None:
        """Note which held-out tasks are about to be played."""
        for suite in self._parts.eval_suites:
            keys = [task.key for task in chosen(suite, self._parts.eval_config)]
            self._store.record_access(suite.name, keys, purpose=f"evaluation after {step} steps")


def described(forest: Forest) -> dict[str, float]:
    """What a step's forest looks like: success of bare rollouts, contrast, size, cost."""
    bare = [
        outcome
        for tree in forest.trees
        for number in range(len(tree.rollouts))
        if tree.bare(number) and (outcome := tree.outcome(number)) is not None
    ]
    leaves = [value for tree in forest.trees for value in tree.outcomes().values()]
    cost = forest.cost
    return {
        "success_bare": sum(bare) / len(bare) if bare else 0.0,
        "success_leaves": sum(leaves) / len(leaves) if leaves else 0.0,
        "effective_ratio": forest.effective_ratio(),
        "trees": float(len(forest.trees)),
        "leaves": float(len(leaves)),
        "invalid": float(sum(r.stop is StopReason.INVALID for t in forest.trees for r in t.rollouts)),
        "censored": float(sum(r.stop is StopReason.CENSORED for t in forest.trees for r in t.rollouts)),
        "turns": float(cost.steps),
        "trajectories": float(cost.trajectories),
        "tokens_sampled": float(cost.decoded),
        "tokens_context": float(cost.fresh + cost.cached),
    }


def _under(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in metrics.items()}
