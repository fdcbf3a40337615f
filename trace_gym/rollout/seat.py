"""Where environments live: seats that a rollout takes and gives back.

Threads of this process (`worker.py`) or the nodes of a cluster (`cluster.py`) offer them. Leaves out what is
played on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.check import Verdict
from trace_gym.core.errors import EnvironmentFailed
from trace_gym.core.task import Task


class EnvironmentTimedOut(EnvironmentFailed):
    """A call into an environment did not return within the task's step timeout."""


class Kept(Protocol):
    """A snapshot, wherever it is kept; `close` frees it."""

    def close(self) -> None:
        """Free it. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Stand:
    """Where an environment stands after a reset or a step; `seconds` is what that took."""

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    verdicts: tuple[Verdict, ...]
    digest: str
    tools: tuple[ToolSpec, ...]
    seconds: float
    snapshot: Kept | None = None
    oracle: Action | None = None
    picture: bytes | None = None


class Seat(Protocol):
    """An environment for one rollout at a time. All calls raise EnvironmentFailed (EnvironmentTimedOut,
    SandboxFailed) where the environment, or what it lives on, breaks."""

    @property
    def name(self) -> str:
        """Which seat it is, for people."""
        ...

    async def begin(self, task: Task, *, keep: bool, oracle: bool) -> Stand:
        """Reset the suite's environment to `task`."""
        ...

    async def step(self, task: Task, action: Action, *, keep: bool, oracle: bool) -> Stand:
        """Take one action; `keep` asks for a snapshot of what comes out, `oracle` for the next reference
        action."""
        ...

    async def resume(self, task: Task, snapshot: Kept, *, oracle: bool) -> Action | None:
        """Stand where the snapshot was taken; returns the oracle's next action if asked for."""
        ...

    async def replay(self, task: Task, actions: Sequence[Action], digests: Sequence[str]) -> list[Stand]:
        """Reset and take `actions`, checking every digest (the root's first); raises ForkDiverged."""
        ...

    async def oracle(self, task: Task) -> Action | None:
        """The reference action from where the environment stands."""
        ...

    def leave(self) -> None:
        """Hand the seat back, for others to take."""
        ...


class Seats(Protocol):
    """Seats to take; whoever asks for one waits while all are taken."""

    async def take(self) -> Seat:
        """A free seat."""
        ...

    def close(self) -> None:
        """Close the environments."""
        ...
