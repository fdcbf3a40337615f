"""A scheduler and a predictor that say how long they took: the same answers, and a stopwatch.

Leaves out what the time is compared with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from trace_gym.core.budget import Budget
from trace_gym.core.predictor import Prediction, Predictor, Prefix
from trace_gym.core.scheduler import Answer, Candidate, Event, Grant, Scheduler
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.schedule.wrapping import Wrapping


class Stopwatch:
    """Seconds spent inside `running`, until they are taken."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time spent inside."""
        started = self._clock()
        try:
            yield
        finally:
            self._seconds += self._clock() - started

    def take(self) -> float:
        """The seconds since the last time, which are then forgotten."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


class ClockedScheduler(Wrapping):
    """A Scheduler that does what `inner` does; `watch` counts its time."""

    def __init__(self, inner: Scheduler, *, watch: Stopwatch | None = None) -> None:
        super().__init__(inner)
        self.watch = watch or Stopwatch()

    @property
    def hears_turns(self) -> bool:
        """As the inner one has it."""
        return self._inner.hears_turns

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        """As the inner one does."""
        with self.watch.running():
            return self._inner.propose(pool, budget)

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        """As the inner one does."""
        with self.watch.running():
            return self._inner.observe(tree, event)

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """As the inner one does."""
        with self.watch.running():
            return self._inner.learn(forest)

    def state_dict(self) -> dict[str, Any]:
        """The inner one's."""
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Into the inner one."""
        self._inner.load_state_dict(state)


class ClockedPredictor:
    """A Predictor that says what `inner` says; `watch` counts its time."""

    def __init__(self, inner: Predictor, *, watch: Stopwatch | None = None) -> None:
        self._inner = inner
        self.watch = watch or Stopwatch()

    def predict(self, prefixes: Sequence[Prefix]) -> list[Prediction]:
        """As the inner one does."""
        with self.watch.running():
            return self._inner.predict(prefixes)

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """As the inner one does."""
        with self.watch.running():
            return self._inner.learn(forest)

    def state_dict(self) -> dict[str, Any]:
        """The inner one's."""
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Into the inner one."""
        self._inner.load_state_dict(state)
