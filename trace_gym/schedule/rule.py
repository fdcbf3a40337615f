"""The two halves of a scheduler: a root rule shares a pool's roots out, a fork rule a prompt's continuations.

Any root rule goes with any fork rule. Rules are stateless: what they know is what they are handed. Leaves out
the step itself (events, accounting), which is `compose.Composed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import Candidate
from trace_gym.core.tree import RolloutTree


@dataclass(frozen=True, slots=True)
class Choice:
    """What a rule answers: `count` rollouts at `place`, which is a candidate's index in a root rule and a
    node in a fork rule. `reason` and `propensity` go into the grant."""

    place: int
    count: int
    reason: str
    propensity: float = 1.0


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A bare rollout that ended with a known outcome. `prefixes[t-1]` is the node of turn t, for every turn
    but the last (the leaf); `predictions` holds V~ at the nodes where one was made."""

    rollout: int
    success: bool
    prefixes: tuple[int, ...]
    predictions: Mapping[int, Prediction]


@dataclass(frozen=True, slots=True)
class Played:
    """A prompt whose stage-1 roots are all in: its `trajectories`, in the order of their starts."""

    tree: RolloutTree
    trajectories: tuple[Trajectory, ...]


class RootRule(Protocol):
    """Stage 1: which prompts of the pool are played, and how often."""

    @property
    def pool_size(self) -> int | None:
        """How many candidates it wants to choose from; None: as many as it can grant."""
        ...

    def choose(
        self, pool: Sequence[Candidate], limit: int | None, *, step: int, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """At most one choice a candidate, at most `limit` roots in all (None: no limit of the budget's)."""
        ...


class ForkRule(Protocol):
    """Stage 2: where a prompt's continuations start."""

    @property
    def per_root(self) -> int:
        """N: how many continuations every root with a known outcome earns its prompt."""
        ...

    def choose(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """At most one choice a node, at most `count` continuations in all."""
        ...
