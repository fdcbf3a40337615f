"""How long the parts of a turn take, by a clock that nobody sets. Leaves out when that was: the journal notes
it, and leaves out what is made of it: that is for whoever looks at a run."""

from __future__ import annotations

import time
from collections.abc import Callable

from trace_gym.core.episode import Span


class Stopwatch:
    """Measures the turns that one worker plays, one after the other: `entered` once, then for each turn
    `acted` and `span`."""

    def __init__(self, worker: str, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._worker = worker
        self._clock = clock
        self._since = clock()
        self._entered = self._acted = 0.0

    def entered(self) -> None:
        """The environment stands where the turn begins."""
        self._entered = self._lap()

    def acted(self) -> None:
        """The agent has answered."""
        self._acted = self._lap()

    def span(self) -> Span:
        """The environment has answered; the next turn begins."""
        found = Span(self._worker, self._entered, self._acted, self._lap())
        self._entered = self._acted = 0.0
        return found

    def _lap(self) -> float:
        since, self._since = self._since, self._clock()
        return self._since - since
