"""A tab in a real Chromium: what it shows as text with references, and what can be done to it.

The network ends at this process: every request of a page is answered by the tab's owner, on the owner's own
thread, or aborted. Every wait has a limit, and a page that breaks says so as BrowserFailed. Leaves out
Playwright (`browser_driver.py`), and tasks, checks and tools (`browser_env.py`).
"""

from __future__ import annotations

import base64
import queue
import re
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

from trace_gym.core.errors import BrowserFailed, BrowserUnavailable
from trace_gym.environment.browser_wire import (
    Found,
    Look,
    Memory,
    Refused,
    Request,
    Response,
    Server,
    TabOptions,
)

if TYPE_CHECKING:
    from trace_gym.environment.browser_channel import Channel
    from trace_gym.environment.browser_driver import Driver

T = TypeVar("T")

OPEN_TIMEOUT_S: Final = 90.0


@cache
def missing() -> str | None:
    """Why this machine has no browser, in one sentence that says how to get it; None: it has."""
    if find_spec("playwright") is None or find_spec("PIL") is None:
        return "The browser needs the extra `web`: pip install 'trace-gym[web]'."
    if executable() is None:
        return "There is no Chromium: apt-get install chromium, or playwright install chromium."
    return None


@cache
def executable() -> str | None:
    """The Chromium on the path, else the one that Playwright has installed; None where there is neither."""
    names = (
        "chromium-headless-shell",
        "chrome-headless-shell",
        "chromium",
        "chromium-browser",
        "google-chrome",
    )
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None and find_spec("playwright") is not None:
        installed: str | None = import_module("trace_gym.environment.browser_driver").installed()
        return installed
    return found


def open_tab(options: TabOptions, server: Server, memory: Memory | None = None) -> Tab:
    """A new tab with a past of its own (`memory`, else none), in the browser of the calling thread.

    `server` answers on the thread that uses the tab. Raises BrowserUnavailable, BrowserFailed.
    """
    reason = missing()
    if reason is not None:
        raise BrowserUnavailable(reason)
    driver: Driver = import_module("trace_gym.environment.browser_driver").driver()
    return Tab(driver, options, server, memory)


class Tab:
    """One page in a context of its own. Used by one thread at a time; may be closed from any.

    `look` waits until the page has come to rest. Every method raises Refused for what nobody could do, and
    BrowserFailed once the page or its browser is broken; then only `close` is left.
    """

    def __init__(self, driver: Driver, options: TabOptions, server: Server, memory: Memory | None) -> None:
        self._driver = driver
        self._options = options
        self._server = server
        self._inbox: queue.SimpleQueue[tuple[Request, Callable[[Response], None]] | None] = (
            queue.SimpleQueue()
        )
        self._broken: str | None = None
        self._channel: Channel = self._call(driver.open(options, self._inbox.put, memory), OPEN_TIMEOUT_S)

    def goto(self, address: str) -> None:
        """Go to an address, which may be relative to the page's. Raises Refused outside the tab's origins."""
        try:
            url = urljoin(self._channel.url, address.strip())
            parts = urlsplit(url)
            allowed = f"{parts.scheme}://{parts.netloc}".lower() in self._options.origins
        except ValueError:
            raise Refused(f"{address[:200]!r} is no address") from None
        if not allowed:
            raise Refused(f"{url[:200]!r} is not on {', '.join(self._options.origins)}: there is no network")
        self._call(self._channel.goto(url))

    def back(self) -> None:
        """Go back one page. Raises Refused where there is none."""
        if not self._call(self._channel.back()):
            raise Refused("there is no page to go back to")

    def click(self, ref: int, *, x: float | None = None, y: float | None = None, count: int = 1) -> None:
        """Click an element, at `x`, `y` pixels from its top left corner or where it can be hit."""
        spot = self._spot(ref, x, y)
        self._call(self._channel.click(spot["x"], spot["y"], count))

    def hover(self, ref: int, *, x: float | None = None, y: float | None = None) -> None:
        """Move the pointer over an element."""
        spot = self._spot(ref, x, y)
        self._call(self._channel.move(spot["x"], spot["y"]))

    def drag(
        self, start: tuple[int, float | None, float | None], end: tuple[int, float | None, float | None]
    ) -> None:
        """Press on one element, move to another (each with optional pixels from its corner), release."""
        here = self._spot(*start)
        if here["tag"] == "SELECT":  # A list of the system scrolls by real time while it is dragged on.
            raise Refused(f"[{start[0]}] is a list: use select")
        there = self._spot(*end, cover=True)
        here = self._spot(*start)
        self._call(self._channel.drag((here["x"], here["y"]), (there["x"], there["y"])))

    def type(self, ref: int, text: str, *, clear: bool = True) -> None:
        """Type into a field, in place of what it holds if `clear`."""
        spot = self._spot(ref, None, None)
        if spot["disabled"] or spot["readonly"]:
            raise Refused(f"[{ref}] is {'disabled' if spot['disabled'] else 'read-only'}")
        writable = spot["tag"] in ("INPUT", "TEXTAREA") or spot["editable"]
        if not writable or (spot["tag"] == "INPUT" and spot["kind"] in _UNTYPED):
            raise Refused(f"[{ref}] is nothing to type into")
        if spot["tag"] == "INPUT" and spot["kind"] in _FILLED:
            self._done(ref, self._ask("fill", ref=ref, text=text))
            return
        if not spot["focused"]:
            self._call(self._channel.click(spot["x"], spot["y"], 1))
        if clear:
            self._ask("selectAll", ref=ref)
        self._call(self._channel.write(text, clear=clear))

    def choose(self, ref: int, option: str) -> None:
        """Choose an option of a list, by its text or else its value."""
        self._done(ref, self._ask("choose", ref=ref, option=option))

    def press(self, key: str) -> None:
        """Press a key, such as "Enter", "a", "Control+A"."""
        if not re.fullmatch(_KEYS, key):
            raise Refused(f"{key[:40]!r} is no key; keys are written Enter, Tab, ArrowDown, a, Control+A")
        self._call(self._channel.press(key))

    def scroll(self, ref: int | None, *, right: int = 0, down: int = 0) -> bool:
        """Scroll an element, or the page, most of its size in a direction; False if it did not move."""
        found = self._ask("scroll", ref=ref, right=right, down=down)
        self._done(ref, found)
        return bool(found["moved"])

    def wait(self, ms: int) -> None:
        """Let time pass for the page."""
        self._call(self._channel.pass_time(ms))

    def look(self) -> Look:
        """Let the page come to rest, then see what it shows."""
        found, probe, notices = self._call(self._channel.look())
        return Look(
            found["title"], found["url"], tuple(found["lines"]), tuple(notices), found["digest"], probe
        )

    def find(self, selector: str) -> list[Found]:
        """The elements of a CSS selector, for those who know the page, such as an oracle; changes nothing."""
        found = self._call(self._channel.ask("find", {"selector": selector}))
        return [Found(**{**each, "box": tuple(each["box"])}) for each in found]

    def evaluate(self, expression: str) -> Any:
        """The value, as JSON data, of an expression in the page's own world; promises are waited for. Text of
        an agent must not be part of it except through `json.dumps`."""
        return self._call(self._channel.evaluate(expression))

    def memory(self) -> Memory:
        """What the browser remembers besides the page, to open another tab with."""
        url, cookies, storage = self._call(self._channel.memory())
        return Memory(url, tuple(cookies), storage)

    def screenshot(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self._call(self._channel.screenshot()))

    @property
    def broken(self) -> str | None:
        """Why the tab cannot be used any more; None: it can."""
        return self._broken

    def close(self) -> None:
        """Close the tab; waits for nothing. May be called again, and from any thread."""
        self._broken = self._broken or "the tab is closed"
        channel = getattr(self, "_channel", None)
        if channel is not None:
            self._driver.discard(channel)

    def _spot(self, ref: int, x: float | None, y: float | None, *, cover: bool = False) -> dict[str, Any]:
        found = self._ask("locate", ref=ref, x=x, y=y, cover=cover)
        self._done(ref, found)
        return found

    def _ask(self, question: str, **given: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._call(self._channel.ask(question, given))
        return found

    def _done(self, ref: int | None, found: Mapping[str, Any]) -> None:
        if "error" in found:
            raise Refused(f"[{ref}] {found['error']}")

    def _call(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Have the driver's thread do some work, and answer the page's requests meanwhile."""
        if self._broken is not None:
            work.close()
            raise BrowserFailed(self._broken)
        timeout_s = timeout_s or self._options.patience_s
        until = time.monotonic() + timeout_s
        future = self._driver.submit(work)
        future.add_done_callback(lambda _: self._inbox.put(None))
        try:
            while not future.done():
                asked = self._inbox.get(timeout=max(0.001, until - time.monotonic()))
                if asked is not None:
                    request, answer = asked
                    self._driver.call_soon(answer, self._server(request))
            return future.result()
        except queue.Empty:
            self._broken = f"the page did not answer within {timeout_s:g} s"
            raise BrowserFailed(self._broken) from None
        except BrowserFailed as error:
            self._broken = str(error)
            raise
        finally:
            future.cancel()


_UNTYPED: Final = frozenset({"button", "submit", "reset", "image", "checkbox", "radio", "file", "hidden"})
_FILLED: Final = frozenset({"range", "color", "date", "time", "datetime-local", "month", "week"})
_KEYS: Final = (
    r"(?:(?:Control|Shift|Alt|Meta)\+){0,3}"
    r"(?:[\x21-\x7e]|Space|Enter|Tab|Backspace|Delete|Escape|Home|End|PageUp|PageDown|Insert"
    r"|Arrow(?:Up|Down|Left|Right)|F(?:[1-9]|1[0-2]))"
)
