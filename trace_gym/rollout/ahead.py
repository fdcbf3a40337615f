"""Collecting ahead: later steps are played while an earlier one is trained.

Bounded: while step t is trained no step beyond t + `staleness` is played, so that no trained token is older
than that many updates. With 0 a step is played when it is asked for, and nothing beside its training. Leaves
out what a step is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

Step = TypeVar("Step")


class Ahead(Generic[Step]):
    """Steps in order, each played after the one before it. Lifecycle: a context; what is still being played
    at its end is cancelled."""

    def __init__(self, play: Callable[[int], Awaitable[Step]], *, staleness: int, end: int) -> None:
        """`play` plays a step; `end` is the first that is not wanted."""
        if staleness < 0:
            raise ValueError(f"staleness is a number of updates and not negative, got {staleness}")
        self._play = play
        self._staleness = staleness
        self._end = end
        self._playing: dict[int, asyncio.Task[Step]] = {}

    async def take(self, step: int) -> Step:
        """What playing a step gave; those after it may begin. Steps are taken in order, each once.

        Raises what its playing raised, or that of a step before it.
        """
        for number in range(step, min(step + self._staleness + 1, self._end)):
            if number not in self._playing:
                before = self._playing.get(number - 1)
                self._playing[number] = asyncio.create_task(self._after(before, number))
        taken = await self._playing[step]
        self._playing.pop(step - 1, None)
        return taken

    async def _after(self, before: asyncio.Task[Step] | None, step: int) -> Step:
        if before is not None:
            await asyncio.wait([before])
            before.result()
        return await self._play(step)

    async def __aenter__(self) -> Ahead[Step]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for playing in self._playing.values():
            playing.cancel()
        await asyncio.gather(*self._playing.values(), return_exceptions=True)
