"""Sequences of tasks that are made when asked for, so that a suite can have as many as it likes, and of tasks
that are seen to be a suite's own.

Leaves out task data read from packages, which is the dataset's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

from trace_gym.core.errors import BadConfig
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


class OwnTasks(Sequence[Task]):
    """Tasks of one suite, each seen to be its own when it is asked for; asking raises BadConfig for one that
    is not."""

    def __init__(self, tasks: Sequence[object], suite: str) -> None:
        self._tasks = tasks
        self._suite = suite

    def __len__(self) -> int:
        return len(self._tasks)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> OwnTasks: ...
    def __getitem__(self, index: int | slice) -> Task | OwnTasks:
        """The task at a place, or a part of the sequence."""
        if isinstance(index, slice):
            return OwnTasks(self._tasks[index], self._suite)
        return _own(self._tasks[index], self._suite)

    def __iter__(self) -> Iterator[Task]:
        return (_own(task, self._suite) for task in self._tasks)


def own_tasks(found: object, suite: str) -> Sequence[Task]:
    """What a suite's `tasks` gave, seen to be tasks of that suite: those of a list now, others as they are
    read, since there may be any number of them. Raises BadConfig."""
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        kind = type(found).__name__
        raise BadConfig(f"`tasks` of suite {suite!r} gives no sequence, such as a list, but a {kind}")
    if not isinstance(found, list | tuple):
        return OwnTasks(found, suite)
    for task in found:
        _own(task, suite)
    return found


def _own(task: object, suite: str) -> Task:
    if not isinstance(task, Task):
        raise BadConfig(f"`tasks` of suite {suite!r} gives a {type(task).__name__} where a Task belongs")
    if task.suite != suite:
        raise BadConfig(
            f"task {task.id!r} of suite {suite!r} says it is of {task.suite!r}; give it suite={suite!r}"
        )
    return task


def straddling(train: Iterable[Task], test: Iterable[Task]) -> tuple[str, ...]:
    """The families that have tasks on both sides, sorted; splits are sound where there is none."""
    return tuple(sorted({task.family for task in train} & {task.family for task in test}))
