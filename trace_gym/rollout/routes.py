"""Which of several replicas is asked: the one that has seen the beginning, else the one with least to do.

A turn goes where the turn before it went and forks where their parent is, so that prefixes are found in that
server's cache. Leaves out the asking.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from trace_gym.core.tokens import IntArray

REMEMBERED = 100_000
"""Sequences whose server is remembered, the newest."""


class Routes:
    """Invariant: `busy[i]` requests are with server i. A server that is lost is avoided for a while, as long
    as there is another."""

    def __init__(self, count: int, *, remembered: int = REMEMBERED) -> None:
        if count < 1:
            raise ValueError(f"routes lead to at least one server, got {count}")
        self.busy = [0] * count
        self._lost = [0.0] * count
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._remembered = remembered

    def take(self, prompt: IntArray, cached: int, *, now: float) -> int:
        """The server for a prompt of which the first `cached` tokens were sampled or seen before."""
        beginning = _digest(prompt[:cached] if cached else prompt)
        there = [i for i in range(len(self.busy)) if self._lost[i] <= now] or list(range(len(self.busy)))
        chosen = self._seen.get(beginning)
        if chosen is None or chosen not in there:
            chosen = min(there, key=lambda i: self.busy[i])
        self._note(beginning, chosen)
        self.busy[chosen] += 1
        return chosen

    def give(self, server: int, sequence: IntArray | None = None) -> None:
        """A request is done; the server has seen the whole `sequence`, if there is one."""
        self.busy[server] -= 1
        if sequence is not None:
            self._note(_digest(sequence), server)

    def lose(self, server: int, *, until: float) -> None:
        """Avoid a server for a while."""
        self._lost[server] = until

    def forget(self) -> None:
        """No server knows any beginning: there are new weights."""
        self._seen.clear()

    def _note(self, sequence: bytes, server: int) -> None:
        self._seen[sequence] = server
        self._seen.move_to_end(sequence)
        while len(self._seen) > self._remembered:
            self._seen.popitem(last=False)


def _digest(tokens: IntArray) -> bytes:
    return hashlib.blake2b(tokens.astype("<i4").tobytes(), digest_size=16).digest()
