"""What waits for the worker thread of the embedded policy: turns to sample, prompts to read, new weights.

Requests are served in the order they came. Leaves out the worker, and what it does with them.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from trace_gym.core.errors import ModelFailed
from trace_gym.core.policy import Checkpoint, Completion
from trace_gym.core.tokens import FloatArray, IntArray
from trace_gym.model.row import Row


@dataclass(frozen=True, slots=True, eq=False)
class Sampling:
    """A row that waits for the batch, and who waits for it."""

    row: Row
    answer: asyncio.Future[Completion]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Short prompts whose last hidden states are wanted."""

    prompts: Sequence[IntArray]
    answer: asyncio.Future[list[FloatArray | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Loading:
    """New weights that wait for the batch to drain."""

    checkpoint: Checkpoint
    answer: asyncio.Future[None]


Job: TypeAlias = Sampling | Reading | Loading


class Queue:
    """Filled from any thread, emptied by one worker, which waits here while there is nothing to do."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, jobs: Sequence[Job]) -> None:
        """Have them wait. Raises ModelFailed once closed."""
        with self._changed:
            if self._closed:
                raise ModelFailed("the policy is closed")
            self._jobs.extend(jobs)
            self._changed.notify()

    def wait(self, *, busy: Callable[[], object]) -> bool:
        """Until there is something to do, here or because the worker is `busy`; False when closed."""
        with self._changed:
            while not (self._closed or self._jobs or busy()):
                self._changed.wait()
            return not self._closed

    def take(
        self, *, running: bool, at_least: int, at_most: int, room: Callable[[Sequence[Row]], int]
    ) -> list[Sampling] | Reading | Loading:
        """The prompts or weights in front of the queue, weights only while nothing is `running`; or those to
        sample in front of it, if they are `at_least` so many: `at_most` so many, and what there is `room`
        for."""
        with self._changed:
            head = self._jobs[0] if self._jobs else None
            if isinstance(head, Reading) or (isinstance(head, Loading) and not running):
                self._jobs.popleft()
                return head
            front: list[Sampling] = []
            for job in islice(self._jobs, at_most):
                if not isinstance(job, Sampling):
                    break
                front.append(job)
            if len(front) < min(at_least, at_most):
                return []
            front = front[: room([job.row for job in front])]
            for _ in front:
                self._jobs.popleft()
        return [job for job in front if not job.answer.cancelled()]

    def close(self) -> None:
        """Nothing is taken any more. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def left(self) -> list[Job]:
        """What still waits."""
        with self._changed:
            return list(self._jobs)
