"""One page on the driver's thread: events in, acts out, and coming to rest in between.

Speaks the DevTools protocol for everything that is done often. Leaves out which browser it lives in
(`browser_driver.py`) and what answers its requests (`browser_traffic.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trace_gym.core.errors import BrowserFailed
from trace_gym.environment.browser_document import WORLD, Document
from trace_gym.environment.browser_playwright import (
    Browser,
    BrowserContext,
    CDPSession,
    Dialog,
    Download,
    Error,
    Page,
)
from trace_gym.environment.browser_traffic import Traffic
from trace_gym.environment.browser_wire import Inbox, Memory, TabOptions

MOST_NOTICES: Final = 20
MOST_TYPED: Final = 200
MOST_OVERTAKEN: Final = 3
"""How often an address is asked for where a forbidden one, begun before, ends in its place."""
_CUT: Final = "chrome-error:"
_SCRIPT: Final = "Page.addScriptToEvaluateOnNewDocument"
_PAGE: Final = Path(__file__).with_name("browser_page.js").read_text(encoding="utf-8")
_CLOCK: Final = Path(__file__).with_name("browser_clock.js").read_text(encoding="utf-8")
_STORAGE: Final = "({local: {...localStorage}, session: {...sessionStorage}})"
_REMEMBER: Final = """(({origin, storage}) => {
  if (location.origin !== origin || window.top !== window) return;
  for (const [name, value] of Object.entries(storage.local)) localStorage.setItem(name, value);
  for (const [name, value] of Object.entries(storage.session)) sessionStorage.setItem(name, value);
})"""


class Channel:
    """A page and its context. All methods run on the driver's thread.

    Lifecycle: `open`, acts and looks, `close`. `owner` is whose tab it is, for the driver alone.
    """

    def __init__(
        self, context: BrowserContext, page: Page, session: CDPSession, options: TabOptions, inbox: Inbox
    ) -> None:
        self.owner: object = None
        self._context = context
        self._page = page
        self._session = session
        self._options = options
        self._traffic = Traffic(session, options.origins, inbox)
        self._document = Document(session, self._traffic)
        self._notices: list[str] = []
        self._wanted: str | None = None
        self._reminder: str | None = None
        self._tasks: set[asyncio.Future[Any]] = set()

    @classmethod
    async def open(
        cls, browser: Browser, options: TabOptions, inbox: Inbox, memory: Memory | None
    ) -> Channel:
        """A blank page in a new context."""
        context = await browser.new_context(
            viewport={"width": options.width, "height": options.height},
            has_touch=options.touch,
            is_mobile=options.touch,
            service_workers="block",
            accept_downloads=False,
            reduced_motion="reduce",
            locale="en-US",
            timezone_id="UTC",
        )
        try:
            if memory is not None:
                await context.add_cookies([dict(cookie) for cookie in memory.cookies])  # type: ignore[misc]
            page = await context.new_page()
            session = await context.new_cdp_session(page)
            self = cls(context, page, session, options, inbox)
            await self._attach(memory)
        except BaseException:
            await context.close()
            raise
        return self

    async def _attach(self, memory: Memory | None) -> None:
        session, options = self._session, self._options
        self._context.on("page", self._popup)
        self._page.on("dialog", self._dialog)
        self._page.on("download", self._download)
        self._page.on("crash", lambda _: self._document.broken.set())
        self._page.on("close", lambda _: self._document.broken.set())
        session.on("Page.windowOpen", self._window)
        await self._document.attach()
        if options.tick_ms is not None:
            given: dict[str, Any] = {"start": options.epoch_ms, "seed": options.seed}
            await self._script(f"{_CLOCK}({json.dumps(given)}, () => ({options.probe}))")
        if memory is not None:
            given = {"origin": "/".join(memory.url.split("/", 3)[:3]), "storage": memory.storage}
            self._reminder = await self._script(f"{_REMEMBER}({json.dumps(given)})")
        await self._script(_PAGE, worldName=WORLD)
        await self._traffic.start()

    async def _script(self, source: str, **where: Any) -> str:
        """Have every document begin with a script; returns its identifier."""
        added = await self._session.send(_SCRIPT, {"source": source, "runImmediately": True, **where})
        return str(added["identifier"])

    # Acts.

    @property
    def url(self) -> str:
        """The page's address."""
        return self._page.url

    async def goto(self, url: str) -> None:
        """Start to go to an address, once what was begun before is over, lest it come in between."""
        for _ in range(MOST_OVERTAKEN):
            await self._document.rest(1)
            found = await self._document.send("Page.navigate", {"url": url})
            if found.get("errorText") not in (None, "net::ERR_ABORTED"):
                raise BrowserFailed(f"{url} could not be opened: {found['errorText']}")
            await self._document.rest()
            if found.get("loaderId") in self._document.loaders or not self.url.startswith(_CUT):
                break
        if self._reminder is not None:
            gone, self._reminder = self._reminder, None
            await self._document.send("Page.removeScriptToEvaluateOnNewDocument", {"identifier": gone})

    async def back(self) -> bool:
        """Go back in the history; False where there is nothing but the blank page."""
        history = await self._document.send("Page.getNavigationHistory", {})
        place = history["currentIndex"] - 1
        if place < 0 or history["entries"][place]["url"] == "about:blank":
            return False
        entry = history["entries"][place]["id"]
        await self._document.send("Page.navigateToHistoryEntry", {"entryId": entry})
        await self._document.rest()
        return True

    async def click(self, x: float, y: float, count: int) -> None:
        """Move there and click."""
        common = {"x": x, "y": y, "button": "left", "pointerType": "mouse"}
        events = [{**common, "type": "mouseMoved", "button": "none"}]
        for number in range(1, count + 1):
            events.append({**common, "type": "mousePressed", "buttons": 1, "clickCount": number})
            events.append({**common, "type": "mouseReleased", "clickCount": number})
        sent = [self._document.send("Input.dispatchMouseEvent", event) for event in events]
        await asyncio.gather(*sent)  # In this order, and without waiting in between.

    async def move(self, x: float, y: float) -> None:
        """Move the pointer."""
        await self._document.alive(self._page.mouse.move(x, y))

    async def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move in steps, release."""
        mouse = self._page.mouse
        await self._document.alive(mouse.move(*start))
        await self._document.alive(mouse.down())
        await self._document.alive(mouse.move(*end, steps=5))
        await self._document.alive(mouse.up())

    async def write(self, text: str, *, clear: bool) -> None:
        """Type into what has the focus; `clear`: its content is selected. Long texts come in at once."""
        keyboard = self._page.keyboard
        if not text and clear:
            await self._document.alive(keyboard.press("Delete"))
        elif len(text) <= MOST_TYPED:
            await self._document.alive(keyboard.type(text))
        else:
            await self._document.alive(keyboard.insert_text(text))

    async def press(self, key: str) -> None:
        """Press a key."""
        await self._document.alive(self._page.keyboard.press(key))

    async def pass_time(self, ms: int) -> None:
        """Let time pass for the page, ours or real."""
        if self._options.tick_ms is None:
            await asyncio.sleep(ms / 1000)
        else:
            await self._document.settled(ms, {"lines": 0, "clock": True})

    # Looks.

    async def ask(self, question: str, given: Mapping[str, Any]) -> Any:
        """Call one of the functions of `browser_page.js`."""
        return await self._document.evaluate(f"traceGym.{question}({json.dumps(given)})", WORLD)

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page's world."""
        return await self._document.evaluate(expression, "")

    async def look(self) -> tuple[dict[str, Any], Any, list[str]]:
        """Come to rest, then what the page shows, what the probe says, and what has happened."""
        found = await self._seen()
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            if "/".join(wanted.split("/", 3)[:3]) in self._options.origins:
                self._notice("(a new window was opened in this one)")
                await self.goto(wanted)
                found = await self._seen()
            else:
                self._notice(f"(a new window for {wanted[:200]} was closed)")
        notices, self._notices = self._notices, []
        return found, found["probe"], notices

    async def _seen(self) -> dict[str, Any]:
        options = self._options
        how = {"shapes": options.shapes, "root": options.root, "skip": options.skip}
        look = {**how, "lines": options.max_lines, "clock": options.tick_ms is not None}
        found = await self._document.settled(options.tick_ms or 0, look)
        if options.tick_ms is None or options.probe == "null":
            found["probe"] = None if options.probe == "null" else await self.evaluate(options.probe)
        return found

    async def memory(self) -> tuple[str, list[Any], Any]:
        """Address, cookies, storage."""
        return (
            self.url,
            list(await self._document.alive(self._context.cookies())),
            await self.evaluate(_STORAGE),
        )

    async def screenshot(self) -> str:
        """The window as a PNG in base64."""
        found = await self._document.send("Page.captureScreenshot", {"format": "png"})
        return str(found["data"])

    async def close(self) -> None:
        """Close the context."""
        await self._context.close()

    # Events.

    def _notice(self, text: str) -> None:
        if len(self._notices) < MOST_NOTICES:
            self._notices.append(text)

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _dialog(self, dialog: Dialog) -> None:
        self._notice(
            f"({dialog.type} dialog {json.dumps(dialog.message[:500], ensure_ascii=False)}: answered OK)"
        )
        self._start(dialog.accept())

    def _download(self, download: Download) -> None:
        self._notice(f"(the download of {download.suggested_filename[:200]} was cancelled)")
        self._start(download.cancel())

    def _window(self, event: dict[str, Any]) -> None:
        self._wanted = str(event["url"])

    def _popup(self, page: Page) -> None:
        if page is not self._page:
            self._start(page.close())


async def _quietly(work: Any) -> None:
    """Do something for a page that may be gone by then: then there is nothing left to do."""
    try:
        await work
    except Error:
        return
