"""What a training run is made of, its limits, and who is told how it goes. Leaves out the run itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isinf
from typing import Protocol, TypeAlias, TypedDict

from trace_gym.core.budget import Budget, Cost
from trace_gym.core.errors import BadConfig
from trace_gym.core.policy import Policy
from trace_gym.core.predictor import Predictor
from trace_gym.core.scheduler import Event, Scheduler
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.environment.registry import Suite
from trace_gym.evaluate import EvalConfig, Report
from trace_gym.rollout.model_agent import ModelAgent
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.rollout.seat import Seats
from trace_gym.rollout.stream import TaskStream
from trace_gym.schedule.clocked import ClockedPredictor, ClockedScheduler, Stopwatch
from trace_gym.store import Store
from trace_gym.train.lead import Leader
from trace_gym.train.trainer import Trainer
from trace_gym.train.watchdog import Watchdogs


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


Sink: TypeAlias = Callable[[int, Mapping[str, float]], None]
"""Takes the metrics of a step, for whoever draws curves."""


class Limits(TypedDict):
    """Limits of a purse by unit; None is no limit."""

    trajectories: int | None
    tokens: int | None
    seconds: float | None
    usd: float | None


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """`pool`: candidates a step; `step`: limits of one step by budget unit; `keep`: checkpoints kept;
    `eval_every` steps, 0: only before and after; `max_staleness`: how many steps are played ahead of the one
    that is trained; `replay`: how many steps back trees are trained on again."""

    steps: int
    pool: int
    step: Limits
    keep: int = 2
    eval_every: int = 0
    max_staleness: int = 0
    replay: int = 0


@dataclass(slots=True)
class Parts:
    """What a run is made of. `temperature` is the one that is sampled, and trained, at. `seats` gives so many
    seats for suites elsewhere; None: on threads of this process."""

    stream: TaskStream
    suites: Mapping[str, Suite]
    agent: ModelAgent
    policy: Policy
    trainer: Trainer | Leader
    scheduler: Scheduler
    predictor: Predictor | None
    collecting: CollectorConfig
    eval_suites: Sequence[Suite]
    eval_config: EvalConfig
    renderer: str
    temperature: float
    watchdogs: Watchdogs
    seats: Callable[[Sequence[Suite], int], Seats] | None = None


@dataclass(slots=True)
class Outcome:
    """How a run ended: why, after how many steps, what it cost, and the evaluations by step."""

    reason: str
    steps: int
    cost: Cost
    reports: dict[int, Report] = field(default_factory=dict)


def clocked(parts: Parts, watches: Mapping[str, Stopwatch]) -> Parts:
    """The same parts, the scheduler and the predictor timed."""
    scheduler = ClockedScheduler(parts.scheduler, watch=watches["schedule"])
    if parts.predictor is None:
        return replace(parts, scheduler=scheduler)
    predictor = ClockedPredictor(parts.predictor, watch=watches["predictor"])
    return replace(parts, scheduler=scheduler, predictor=predictor)


def left_over(store: Store, forest: Forest, limits: Limits, run: Budget) -> bool:
    """Was nothing granted in the step of this forest, because what is left of the run's trajectories is too
    little for whatever the scheduler grants at once? Such a step was never played: it is taken back.

    Raises BadConfig where the step's own limit is too little for that.
    """
    own, left = limits["trajectories"], run.left("trajectories")
    if forest.trees or (own is None and isinf(left)):
        return False
    known = store.recover(forest.step)
    if known is None or not known.pool:
        return False  # no candidate fitted the model: that says nothing of the budget
    store.withdraw_step(forest.step)
    if own is not None and own <= left:
        rest = "no limit" if isinf(left) else f"{left:g} trajectories left"
        raise BadConfig(
            f"budget.step_trajectories = {own} pays for no rollout of this scheduler, though the run has "
            f"{rest}; give a step more"
        )
    return True
