"""The two halves of a scheduler: a root rule shares a pool's roots out, a fork rule a prompt's continuations.

Any root rule goes with any fork rule. The plain ones are asked once; what else a rule can do is a protocol of
its own that it may fulfil as well: be asked again, watch turns, remember steps. Leaves out the step itself
(events, accounting), which is `compose.Composed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import Candidate
from trace_gym.core.tree import Forest, RolloutTree


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
    """A rollout that ended with a known outcome. `prefixes` are the nodes it played itself but for the last
    (the leaf): of a bare rollout, `prefixes[t-1]` is the node of turn t. `predictions` holds V~ at the nodes
    of its whole path where one was made. `anchor` is where it started."""

    rollout: int
    success: bool
    prefixes: tuple[int, ...]
    predictions: Mapping[int, Prediction]
    anchor: int = 0


@dataclass(frozen=True, slots=True)
class Played:
    """A prompt whose stage-1 roots are all in: its `trajectories`, and the `continuations` that have ended,
    both in the order of their starts."""

    tree: RolloutTree
    trajectories: tuple[Trajectory, ...]
    continuations: tuple[Trajectory, ...] = ()


@dataclass(slots=True)
class Standing:
    """How a prompt's stage-1 roots stand: granted, still running, won, lost, and in how many grants."""

    granted: int = 0
    running: int = 0
    wins: int = 0
    losses: int = 0
    rounds: int = 0

    @property
    def mixed(self) -> bool:
        """Are both outcomes there?"""
        return self.wins > 0 and self.losses > 0


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


@runtime_checkable
class SequentialRoots(Protocol):
    """A root rule that goes on: it is asked again whenever the roots of a prompt are all in."""

    def again(
        self,
        index: int,
        pool: Sequence[Candidate],
        standings: Mapping[int, Standing],
        *,
        limit: int | None,
        rng: np.random.Generator,
    ) -> Sequence[Choice]:
        """The roots of candidate `index` are in; what now? At most `limit` roots, for it or for prompts that
        were not played yet. Where it gets none, its continuations begin and it is done."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A rule that knows more than it is handed: it learns from every step."""

    def learn(self, forest: Forest) -> None:
        """A step is closed."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All it knows, as JSON data."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Know what `state_dict` held."""
        ...


class ForkRule(Protocol):
    """Stage 2: where a prompt's continuations start."""

    @property
    def per_root(self) -> int:
        """N: how many continuations every root with a known outcome earns its prompt."""
        ...

    def choose(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """The roots are in. At most one choice a node, at most `count` continuations in all."""
        ...


@runtime_checkable
class SequentialForks(Protocol):
    """A fork rule that goes on: it is asked again whenever nothing of a prompt is running and continuations
    are left."""

    def again(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """As `choose`, knowing what the continuations so far came to; nothing ends it."""
        ...


@runtime_checkable
class WatchfulForks(Protocol):
    """A fork rule that looks at every turn as it happens, also of rollouts that have not ended."""

    def watch(
        self, tree: RolloutTree, node: int, count: int, *, over: bool, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """Turn `node` was just played; `over`: its rollout has ended. At most `count` continuations, from
        nodes where play can go on."""
        ...
