"""A pool of warm boxes: started name spaces or containers that wait for a sandbox to need them.

Refilled in the background. Leaves out what a box is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, Protocol, TypeVar

from trace_gym.core.errors import SandboxFailed, boundary

_STARTERS = 4  # boxes that start at the same time
_PATIENCE_S = 150.0


class Warm(Protocol):
    """What can wait in a pool."""

    @property
    def alive(self) -> bool:
        """Does it still run?"""
        ...

    def restart(self) -> None:
        """Start again after it was stopped. Raises SandboxFailed."""
        ...


Box = TypeVar("Box", bound=Warm)
Result = TypeVar("Result")


class Pool(Generic[Box]):
    """Warm boxes of each kind, refilled in the background. Safe to use from many threads.

    Every box is started by a thread that lasts as long as the pool, for some die with the thread that started
    them. Lifecycle: `close` ends the spare boxes; those handed out are their users' to end.
    """

    def __init__(self, *, spares: int, starters: int = _STARTERS) -> None:
        """`spares`: how many boxes of a kind wait; `starters`: how many start at a time."""
        self._spares = spares
        self._waiting: dict[Hashable, list[Box]] = {}
        self._coming: dict[Hashable, int] = {}
        self._closed = False
        self._lock = Lock()
        self._starters = ThreadPoolExecutor(starters, thread_name_prefix="boxes")

    def take(self, kind: Hashable, make: Callable[[], Box]) -> Box:
        """A warm box of a kind, or a new one from `make`. Raises SandboxFailed."""
        found = None
        with self._lock:
            waiting = self._waiting.setdefault(kind, [])
            while waiting and found is None:
                found = waiting.pop()
                found = found if found.alive else None
        if found is None:
            found = self._started(make)
        self._refill(kind, make)
        return found

    def give(self, kind: Hashable, box: Box) -> bool:
        """Take a box back for the next user; False: there are enough, it is its user's to end."""
        with self._lock:
            waiting = self._waiting.setdefault(kind, [])
            if self._closed or len(waiting) >= self._spares or not box.alive:
                return False
            waiting.append(box)
            return True

    def restart(self, box: Box) -> None:
        """Start a stopped box again, from a thread that lasts. Raises SandboxFailed."""
        self._started(box.restart)

    def close(self, end: Callable[[Box], None]) -> None:
        """End what waits, by `end`, once what is starting has started."""
        with self._lock:
            self._closed = True
        self._starters.shutdown(wait=True)
        with ThreadPoolExecutor(_STARTERS, thread_name_prefix="boxes") as enders:
            list(enders.map(end, [box for waiting in self._waiting.values() for box in waiting]))

    def _started(self, action: Callable[[], Result]) -> Result:
        with boundary(SandboxFailed, TimeoutError, what=f"no sandbox within {_PATIENCE_S:g} s"):
            return self._starters.submit(action).result(_PATIENCE_S)

    def _refill(self, kind: Hashable, make: Callable[[], Box]) -> None:
        with self._lock:
            coming = self._coming.get(kind, 0)
            missing = self._spares - len(self._waiting[kind]) - coming
            if self._closed or missing <= 0:
                return
            self._coming[kind] = coming + missing
            for _ in range(missing):
                self._starters.submit(self._add, kind, make)

    def _add(self, kind: Hashable, make: Callable[[], Box]) -> None:
        """Start a spare; where that fails, the next `take` finds out and says why."""
        try:
            box = None if self._closed else make()
        except SandboxFailed:
            box = None
        with self._lock:
            self._coming[kind] -= 1
            if box is not None:
                self._waiting[kind].append(box)
