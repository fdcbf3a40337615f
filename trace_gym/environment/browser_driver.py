"""Chromium through Playwright: one driver thread per process, one browser per thread that uses it (up to a
limit), one context per tab.

The driver is asynchronous on a thread of its own, so that a page that hangs can be given up. Requests are
paused by the DevTools protocol (Playwright's own routing sends redirects to the network). Leaves out the
synchronous tab that everybody else uses (`browser.py`) and the pages (`browser_channel.py`).
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock, Thread, get_ident
from typing import Any, Final, TypeVar

from trace_gym.core.errors import BrowserFailed, boundary
from trace_gym.environment.browser import executable
from trace_gym.environment.browser_channel import Channel
from trace_gym.environment.browser_playwright import Browser, Error, Playwright, async_playwright
from trace_gym.environment.browser_wire import Inbox, Memory, TabOptions

T = TypeVar("T")

SPARES: Final = 4
"""Browsers that are kept for the next thread when nobody uses them."""
MOST: Final = max(4, os.cpu_count() or 1)
"""Browsers in a process; threads beyond share them."""
LAUNCH_TIMEOUT_S: Final = 60.0
CLOSE_TIMEOUT_S: Final = 10.0
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-smooth-scrolling",
    "--disable-site-isolation-trials",
    "--font-render-hinting=none",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    # Should a request ever escape the interception, it finds no host.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


class Chromium:
    """A running browser. `tabs` counts those open; `thread` is the one it belongs to while there are any."""

    def __init__(self, browser: Browser, pid: int | None) -> None:
        self.browser = browser
        self.pid = pid
        self.thread: int | None = None
        self.tabs = 0

    async def close(self) -> None:
        """End the process, by force if it does not listen."""
        try:
            await asyncio.wait_for(self.browser.close(), CLOSE_TIMEOUT_S)
        except (Error, TimeoutError):
            if self.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)


class Driver:
    """The thread that talks to Playwright, and the browsers. One per process; see `driver`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._playwright: Playwright | None = None
        self._browsers: list[Chromium] = []
        self._starting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        Thread(target=self._loop.run_forever, name="browsers", daemon=True).start()
        atexit.register(self.close)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start some work on the driver's thread. What Playwright raises becomes BrowserFailed."""
        return asyncio.run_coroutine_threadsafe(_guarded(work), self._loop)

    def call_soon(self, call: Callable[..., None], *given: object) -> None:
        """Have the driver's thread call something."""
        self._loop.call_soon_threadsafe(call, *given)

    def open(self, options: TabOptions, inbox: Inbox, memory: Memory | None) -> Coroutine[Any, Any, Channel]:
        """A new tab in the browser of the calling thread, once awaited; requests are put into `inbox`."""
        return self._open(get_ident(), options, inbox, memory)

    def discard(self, channel: Channel) -> None:
        """Close a tab some time soon. May be called again."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._spawn, channel)

    def close(self) -> None:
        """End every browser and the driver."""
        if self._loop.is_closed() or not self._loop.is_running():
            return
        with suppress(BrowserFailed, TimeoutError):
            self.submit(self._shut()).result(2 * CLOSE_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _spawn(self, channel: Channel) -> None:
        task = self._loop.create_task(self._closed(channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, thread: int, options: TabOptions, inbox: Inbox, memory: Memory | None) -> Channel:
        chromium = await self._chromium(thread)
        try:
            channel = await Channel.open(chromium.browser, options, inbox, memory)
        except BaseException:
            await self._left(chromium)
            raise
        channel.owner = chromium
        return channel

    async def _chromium(self, thread: int) -> Chromium:
        """The thread's browser: the one it has, a spare one, a new one, or, where there are enough, one with
        few tabs. Counts the tab to come."""
        async with self._starting:
            self._browsers = [each for each in self._browsers if each.browser.is_connected()]
            own = [each for each in self._browsers if each.thread == thread and each.tabs]
            spare = [each for each in self._browsers if not each.tabs]
            if not own and not spare and len(self._browsers) >= MOST:
                spare = [min(self._browsers, key=lambda each: each.tabs)]
            found = (own or spare)[0] if own or spare else await self._launched()
            found.thread = found.thread if found.tabs else thread
            found.tabs += 1
            return found

    async def _launched(self) -> Chromium:
        if self._playwright is None:
            self._playwright = await asyncio.wait_for(async_playwright().start(), LAUNCH_TIMEOUT_S)
        browser = await self._playwright.chromium.launch(
            executable_path=executable(), args=list(FLAGS), timeout=1000 * LAUNCH_TIMEOUT_S
        )
        session = await browser.new_browser_cdp_session()
        processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
        pids = [int(each["id"]) for each in processes if each["type"] == "browser"]
        await session.detach()
        chromium = Chromium(browser, pids[0] if pids else None)
        self._browsers.append(chromium)
        return chromium

    async def _closed(self, channel: Channel) -> None:
        owner, channel.owner = channel.owner, None
        if not isinstance(owner, Chromium):
            return
        try:
            await asyncio.wait_for(channel.close(), CLOSE_TIMEOUT_S)
        except (Error, TimeoutError):
            # A context that cannot be closed would stay for ever: its browser goes.
            self._browsers = [each for each in self._browsers if each is not owner]
            await owner.close()
            return
        await self._left(owner)

    async def _left(self, chromium: Chromium) -> None:
        chromium.tabs -= 1
        idle = [each for each in self._browsers if not each.tabs]
        if not chromium.tabs and len(idle) > SPARES:
            self._browsers.remove(chromium)
            await chromium.close()

    async def _shut(self) -> None:
        await asyncio.gather(*(each.close() for each in self._browsers))
        self._browsers = []
        if self._playwright is not None:
            await self._playwright.stop()


_drivers: dict[int, Driver] = {}
_lock = Lock()


def driver() -> Driver:
    """The driver of this process, made at the first call; a forked process makes its own."""
    with _lock:
        if os.getpid() not in _drivers:
            _drivers[os.getpid()] = Driver()
        return _drivers[os.getpid()]


@cache
def installed() -> str | None:
    """The Chromium that Playwright itself has installed; None where it has none."""

    async def path() -> str:
        async with async_playwright() as playwright:
            return playwright.chromium.executable_path

    def asked() -> str:
        return asyncio.run(asyncio.wait_for(path(), LAUNCH_TIMEOUT_S))

    results: list[str] = []
    thread = Thread(target=lambda: results.append(asked()), daemon=True)
    thread.start()
    thread.join(LAUNCH_TIMEOUT_S)
    return results[0] if results and Path(results[0]).is_file() else None


async def _guarded(work: Coroutine[Any, Any, T]) -> T:
    with boundary(BrowserFailed, Error, TimeoutError, KeyError, OSError, what="the browser failed"):
        return await work
