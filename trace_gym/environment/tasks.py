"""Sequences of tasks that are made when asked for, so that a suite can have as many as it likes.

Leaves out task data read from packages, which is the dataset's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import overload

from trace_gym.core.task import Task


class LazyTasks(Sequence[Task]):
    """`count` tasks, the i-th being `make(i)`; `make` must give the same task for the same i."""

    def __init__(self, count: int, make: Callable[[int], Task]) -> None:
        if count < 0:
            raise ValueError(f"a number of tasks must not be negative, got {count}")
        self._indices = range(count)
        self._make = make

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> LazyTasks: ...
    def __getitem__(self, index: int | slice) -> Task | LazyTasks:
        """The task at a place (from the end if negative), or a part of the sequence, lazy too."""
        if not isinstance(index, slice):
            return self._make(self._indices[index])
        part = LazyTasks(0, self._make)
        part._indices = self._indices[index]
        return part


def straddling(train: Iterable[Task], test: Iterable[Task]) -> tuple[str, ...]:
    """The families that have tasks on both sides, sorted; splits are sound where there is none."""
    return tuple(sorted({task.family for task in train} & {task.family for task in test}))
