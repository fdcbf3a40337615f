"""Adapters that vLLM samples with side by side, one for each version of the weights: which are still in use.

Leaves out what is said to the servers (`vllm_fleet.py`), and whether an adapter fits (`vllm_weights.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trace_gym.rollout.vllm_dialect import ADAPTERS
from trace_gym.rollout.vllm_fleet import Fleet


@dataclass(slots=True, eq=False)
class Weights:
    """What a request is sampled with: a version, the salt of its cache, the adapter's name (None: the
    model's own weights), and how many requests use it now."""

    version: int
    salt: str
    adapter: str | None = None
    users: int = 0


class Adapters:
    """The weights in use, and older ones that requests in flight go on with. Used on one event loop."""

    def __init__(self, fleet: Fleet, first: Weights) -> None:
        self.newest = first
        self._fleet = fleet
        self._older: set[Weights] = set()
        self._left = asyncio.Event()
        self._dropping: set[asyncio.Task[None]] = set()

    @contextmanager
    def used(self) -> Iterator[Weights]:
        """The newest weights, for one request; they stay until it ends."""
        weights = self.newest
        weights.users += 1
        try:
            yield weights
        finally:
            weights.users -= 1
            self._leave(weights)

    async def change(self, weights: Weights, folder: Path | None = None) -> None:
        """From now on use other weights, those of the adapter in `folder` if they have one. Waits until
        requests with adapters older than the newest have ended. Raises ModelFailed, and the old ones stay."""
        if weights.adapter is not None and folder is not None:
            while len(self._older) > ADAPTERS - 2:
                self._left.clear()
                await self._left.wait()
            await self._fleet.add_adapter(weights.adapter, folder)
        old, self.newest = self.newest, weights
        if old.adapter is not None:
            self._older.add(old)
            self._leave(old)

    def _leave(self, weights: Weights) -> None:
        """Let the servers forget an older adapter that nothing uses."""
        if weights.users or weights not in self._older or weights.adapter is None:
            return
        self._older.discard(weights)
        self._left.set()
        task = asyncio.get_running_loop().create_task(self._fleet.drop_adapter(weights.adapter))
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)
