"""Wall time divided among those who are busy at once: what each of many concurrent requests is charged."""

from __future__ import annotations

from collections.abc import Callable


class Shares:
    """Invariant: `busy` of them are."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._busy = 0
        self._since = clock()
        self._total = 0.0
        self._seconds = 0.0
        self._weighted = 0.0

    @property
    def mean(self) -> float:
        """How many were busy, while anybody was."""
        self.total()
        return self._weighted / self._seconds if self._seconds else 0.0

    @property
    def seconds(self) -> float:
        """For how long anybody was busy."""
        self.total()
        return self._seconds

    def total(self) -> float:
        """The share in seconds of one who was busy all the time until now."""
        now = self._clock()
        if self._busy:
            passed = now - self._since
            self._total += passed / self._busy
            self._seconds += passed
            self._weighted += passed * self._busy
        self._since = now
        return self._total

    def enter(self) -> float:
        """One more is busy; returns the total so far."""
        total = self.total()
        self._busy += 1
        return total

    def leave(self) -> None:
        """One is not busy any more."""
        self.total()
        self._busy -= 1
