"""The snapshots of a step, to fork from: the newest are kept, the oldest give way.

Leaves out what a snapshot is and where it is kept.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from trace_gym.rollout.seat import Kept

Place: TypeAlias = tuple[int, int]
"""A tree and a node."""


class Snapshots:
    """At most `most`, by place. Invariant: a snapshot is closed once, when it has given way (or all were
    dropped) and nobody is on the way into it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Place, Kept] = OrderedDict()
        self._users: Counter[Place] = Counter()
        self._leaving: dict[Place, Kept] = {}

    def keep(self, place: Place, snapshot: Kept) -> None:
        """Keep the snapshot of a place that had none."""
        self._kept[place] = snapshot
        if len(self._kept) > self._most:
            self._drop(*self._kept.popitem(last=False))

    @contextmanager
    def lent(self, place: Place) -> Iterator[Kept | None]:
        """The snapshot of a place, open as long as it is lent; None where there is none (any more)."""
        snapshot = self._kept.get(place)
        if snapshot is None:
            yield None
            return
        self._users[place] += 1
        try:
            yield snapshot
        finally:
            self._users[place] -= 1
            if not self._users[place] and place in self._leaving:
                self._leaving.pop(place).close()

    def close(self) -> None:
        """Drop all."""
        while self._kept:
            self._drop(*self._kept.popitem())

    def _drop(self, place: Place, snapshot: Kept) -> None:
        if self._users[place]:
            self._leaving[place] = snapshot
        else:
            snapshot.close()
