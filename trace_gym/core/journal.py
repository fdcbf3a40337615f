"""What must be durable, and when: the collector writes it before anything uses what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from trace_gym.core.scheduler import Answer, Candidate, Event, Grant
from trace_gym.core.task import Task
from trace_gym.core.tree import RolloutTree


@dataclass(frozen=True, slots=True)
class Recovered:
    """A step in progress as the journal knows it. `events` are in the order the scheduler saw them, each with
    the answer it gave; `trees` hold every committed turn; rollouts without `stop` were in flight."""

    step: int
    pool: tuple[Candidate, ...]
    tasks: tuple[Task, ...]
    grants: tuple[Grant, ...]
    events: tuple[tuple[Event, tuple[Answer, ...]], ...] = ()
    trees: Mapping[int, RolloutTree] = field(default_factory=dict)


class Journal(Protocol):
    """Durable record of collection. Each call has committed when it returns."""

    def open_step(self, step: int, pool: Sequence[Candidate], tasks: Sequence[Task]) -> None:
        """The candidates of a step, with the predictions the scheduler will see; `tasks[i]` belongs to
        `pool[i]`."""
        ...

    def proposed(self, step: int, grants: Sequence[Grant]) -> None:
        """What `propose` answered."""
        ...

    def planted(self, step: int, tree: RolloutTree) -> None:
        """The root of a tree: the task's first observation is known."""
        ...

    def started(self, step: int, tree: RolloutTree, rollout: int) -> None:
        """A rollout begins at its anchor."""
        ...

    def turned(self, step: int, tree: RolloutTree, node: int) -> None:
        """A finished turn."""
        ...

    def pictured(self, step: int, tree: RolloutTree, node: int, picture: bytes) -> None:
        """What the environment looked like after a turn that was written before, as a PNG image. Written
        only where screenshots are asked for; nothing depends on it."""
        ...

    def stopped(self, step: int, tree: RolloutTree, rollout: int) -> None:
        """A rollout has ended."""
        ...

    def observed(self, step: int, event: Event, answer: Sequence[Answer]) -> None:
        """An event and what the scheduler made of it."""
        ...

    def close_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """All rollouts of the step have ended."""
        ...

    def recover(self, step: int) -> Recovered | None:
        """The step as far as it came, None if it was never opened."""
        ...
