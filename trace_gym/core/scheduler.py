"""The scheduler's protocol: it is told events and answers with grants. It does no I/O.

Given the same pool, the same predictions and the same order of events it makes the same decisions: that
is what makes a run resumable from its journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from trace_gym.core.budget import Budget
from trace_gym.core.episode import Actor, FailureCause
from trace_gym.core.predictor import Prediction
from trace_gym.core.tree import Anchor, Forest, RolloutTree


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task that rollouts may be granted to. `index` is its place in the pool and its tree's number."""

    index: int
    task: str
    suite: str
    family: str
    max_turns: int
    prediction: Prediction | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """`count` rollouts from `anchor`. `number` is unique within the step; `propensity` is the probability (or
    share) with which this anchor was chosen, where the rule is random; `reason` is for people. With `actor`
    ORACLE the environment's reference solution plays them, for others to start from: they cost a trajectory
    and end as `StopReason.SHOWN`."""

    number: int
    anchor: Anchor
    count: int
    reason: str
    propensity: float = 1.0
    actor: Actor = Actor.POLICY

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"a grant is for at least one rollout, got {self.count}")
        if self.actor not in (Actor.POLICY, Actor.ORACLE):
            raise ValueError(f"a grant is for the policy or for the oracle, got {self.actor}")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop what is left of a grant: rollouts not begun are refunded, running ones are cut."""

    grant: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Stop one rollout after its newest turn: it counts as a failure, of the `worth` predicted of it."""

    tree: int
    rollout: int
    worth: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.worth <= 1.0:
            raise ValueError(f"a worth is a probability, got {self.worth}")


Answer: TypeAlias = Grant | Cancel | Cut


@dataclass(frozen=True, slots=True)
class TurnDone:
    """A rollout took a turn and goes on. `predictions` holds V~ at the prefix it was played from: that of the
    turn itself is not known before the next. `extent` of any event: how many turns and rollouts its tree held
    then, so that a journal can show the tree as it was."""

    tree: int
    rollout: int
    node: int
    extent: tuple[int, int] = (0, 0)
    predictions: Mapping[int, Prediction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EpisodeDone:
    """A rollout ended; its outcome is in the tree. `predictions` holds V~ at the nodes of its path that can
    be anchors (the root included), as known now."""

    tree: int
    rollout: int
    predictions: Mapping[int, Prediction] = field(default_factory=dict)
    extent: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class GrantFailed:
    """One rollout of a grant was given up, after retries; its trajectory is refunded."""

    tree: int
    grant: int
    rollout: int | None
    cause: FailureCause
    extent: tuple[int, int] = (0, 0)


Event: TypeAlias = TurnDone | EpisodeDone | GrantFailed


class Scheduler(Protocol):
    """Spends one budget over tasks and turn prefixes. Every rollout granted ends in exactly one
    EpisodeDone or GrantFailed."""

    @property
    def pool_size(self) -> int | None:
        """How many candidates it wants to choose from; None: as many as it can grant."""
        ...

    @property
    def forks(self) -> bool:
        """May it grant anchors other than roots? If not, no snapshots are kept."""
        ...

    @property
    def hears_turns(self) -> bool:
        """Must it be told of every TurnDone?"""
        ...

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        """Open a step."""
        ...

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        """Take note of an event and, maybe, grant, cancel or cut."""
        ...

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Close the step; returns metrics."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where `state_dict` was taken."""
        ...
