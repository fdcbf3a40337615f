"""The current document of a page: its script worlds, whether it is loading, and coming to rest.

All of it runs on the driver's thread. Leaves out the pointer, the keyboard and everything around the document
(`browser_channel.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypeVar

from trace_gym.core.errors import BrowserFailed
from trace_gym.environment.browser_playwright import CDPSession, Error
from trace_gym.environment.browser_traffic import Traffic

T = TypeVar("T")

WORLD: Final = "trace_gym"
LOAD_TIMEOUT_S: Final = 40.0
MOST_TIMERS: Final = 20_000
_SLICE_S: Final = 0.003
_REPLACED: Final = ("context", "navigated", "Promise was collected")


class Document:
    """What a page shows now. `broken` is set, once and for all, when the page has crashed or is closed;
    `loaders`: the navigations that have brought a document."""

    def __init__(self, session: CDPSession, traffic: Traffic) -> None:
        self.broken = asyncio.Event()
        self.loaders: set[str] = set()
        self._session = session
        self._traffic = traffic
        self._frame = ""
        self._navigations = 0
        self._worlds: dict[str, int] = {}
        self._loading: set[str] = set()

    async def attach(self) -> None:
        """From here on its events are followed."""
        session = self._session
        session.on("Page.frameStartedLoading", self._started)
        session.on("Page.frameRequestedNavigation", self._requested)
        session.on("Page.frameStoppedLoading", lambda event: self._loading.discard(event["frameId"]))
        session.on("Page.frameNavigated", self._navigated)
        session.on("Page.frameDetached", lambda event: self._loading.discard(event["frameId"]))
        session.on("Runtime.executionContextCreated", self._world_made)
        session.on("Runtime.executionContextDestroyed", self._world_gone)
        session.on("Runtime.executionContextsCleared", lambda _: self._worlds.clear())
        enabled = ("Page.enable", "Page.getFrameTree", "Runtime.enable")
        _, tree, _ = await asyncio.gather(*(session.send(command) for command in enabled))
        self._frame = tree["frameTree"]["frame"]["id"]

    async def settled(self, ms: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Come to rest, let the page's own clock go on (if it has one of ours), come to rest again, and look:
        what `settle` of `browser_page.js` says of `given`.

        If the clock has set off a request or brought a new document, it goes on once more when that has come,
        lest it matter how quickly it came. Raises BrowserFailed where the page finds no rest.
        """
        found: dict[str, Any] | None = None
        for left in (ms, ms, 0):
            await self.rest(1)
            before = self.began
            expression = f"traceGym.settle({json.dumps({**given, 'ms': left, 'most': MOST_TIMERS})})"
            found = await self._once(expression, WORLD)
            if found is not None and self.began == before and not self._busy:
                return found
        await self.rest()
        again: dict[str, Any] = await self.evaluate(
            f"traceGym.settle({json.dumps({**given, 'ms': 0})})", WORLD
        )
        return again

    async def rest(self, quiet: int = 2) -> None:
        """Wait until nothing is under way, seen `quiet` times in a row, twice if anything was: no load, no
        request, no event that has not been dealt with."""
        until, seen = asyncio.get_running_loop().time() + LOAD_TIMEOUT_S, 0
        while seen < quiet:
            await self.evaluate("traceGym.pause()", WORLD)
            if self._busy:
                seen, quiet = 0, 2
                await asyncio.sleep(_SLICE_S)
            else:
                seen += 1
            if asyncio.get_running_loop().time() > until:
                raise BrowserFailed(f"the page did not come to rest within {LOAD_TIMEOUT_S:g} s")

    async def evaluate(self, expression: str, world: str) -> Any:
        """The value of an expression in a world of the current document; asked again where the document was
        replaced meanwhile."""
        until = asyncio.get_running_loop().time() + LOAD_TIMEOUT_S
        while True:
            if asyncio.get_running_loop().time() > until:
                raise BrowserFailed(f"the page answered nothing for {LOAD_TIMEOUT_S:g} s")
            if world not in self._worlds:
                await self.alive(asyncio.sleep(_SLICE_S))
                continue
            found = await self._told(expression, world)
            if found is None:
                await asyncio.sleep(_SLICE_S)
                continue
            return found.get("value")

    async def _once(self, expression: str, world: str) -> Any:
        """The value of an expression; None if the document is replaced meanwhile."""
        found = await self._told(expression, world) if world in self._worlds else None
        return None if found is None else found.get("value")

    async def _told(self, expression: str, world: str) -> dict[str, Any] | None:
        """What the page answers; None where the document is being replaced."""
        given = {"expression": expression, "contextId": self._worlds[world], "awaitPromise": True}
        try:
            found = await self.send("Runtime.evaluate", {**given, "returnByValue": True})
        except Error as error:
            if any(sign in str(error) for sign in _REPLACED):
                return None
            raise
        if "exceptionDetails" in found:
            told = found["exceptionDetails"]
            text = told.get("exception", {}).get("description", told["text"])
            raise BrowserFailed(f"a script failed: {text}"[:500])
        result: dict[str, Any] = found["result"]
        return result

    @property
    def began(self) -> int:
        """How many requests and navigations have begun so far."""
        return self._navigations + self._traffic.begun

    @property
    def _busy(self) -> bool:
        return bool(self._loading) or self._traffic.busy

    async def send(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        """A command of the DevTools protocol."""
        found: dict[str, Any] = await self.alive(self._session.send(method, given))
        return found

    async def alive(self, work: Awaitable[T]) -> T:
        """What some work brings, unless the page dies before."""
        doing, dying = asyncio.ensure_future(work), asyncio.ensure_future(self.broken.wait())
        try:
            await asyncio.wait({doing, dying}, return_when=asyncio.FIRST_COMPLETED)
            if self.broken.is_set():
                raise BrowserFailed("the page has crashed")
            return doing.result()
        finally:
            for task in (doing, dying):
                if not task.done():
                    task.cancel()
                elif not task.cancelled():
                    task.exception()

    def _started(self, event: dict[str, Any]) -> None:
        self._navigations += 1
        self._loading.add(event["frameId"])

    def _requested(self, event: dict[str, Any]) -> None:
        self._navigations += 1

    def _navigated(self, event: dict[str, Any]) -> None:
        if event["frame"]["id"] == self._frame:
            self.loaders.add(event["frame"]["loaderId"])
            self._traffic.forget()

    def _world_made(self, event: dict[str, Any]) -> None:
        context = event["context"]
        about = context.get("auxData", {})
        if about.get("frameId") != self._frame:
            return
        if about.get("isDefault"):
            self._worlds[""] = context["id"]
        elif context["name"] == WORLD:
            self._worlds[WORLD] = context["id"]

    def _world_gone(self, event: dict[str, Any]) -> None:
        gone = event["executionContextId"]
        self._worlds = {name: each for name, each in self._worlds.items() if each != gone}
