"""Tabs in a real Chromium: what is seen, what can be done, and that nothing a page does holds them up."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from trace_gym.core.errors import BrowserFailed
from trace_gym.environment.browser import Tab, open_tab
from trace_gym.environment.browser_wire import Look, Refused, Request, Response, TabOptions

pytestmark = pytest.mark.needs("chromium")

ORIGIN = "http://pages.test"
OPTIONS = TabOptions((ORIGIN,), width=400, height=300)
Show = Callable[[str], Tab]


def html(text: str) -> Response:
    return Response(200, [("Content-Type", "text/html; charset=utf-8")], text.encode())


def ref(look: Look, text: str) -> int:
    """The reference of the only line that holds a text."""
    found = [line for line in look.lines if text in line]
    assert len(found) == 1, look.text
    return int(re.findall(r"\[(\d+)\]", found[0])[0])


@pytest.fixture
def opened() -> Iterator[list[Tab]]:
    tabs: list[Tab] = []
    yield tabs
    for tab in tabs:
        tab.close()


@pytest.fixture
def show(opened: list[Tab]) -> Show:
    """A tab that shows a body."""

    def shown(body: str) -> Tab:
        opened.append(open_tab(OPTIONS, lambda request: html(body)))
        opened[-1].goto(ORIGIN)
        return opened[-1]

    return shown


def test_a_look_tells_roles_names_and_states_and_references_last(show: Show) -> None:
    tab = show(
        "<h2>Cart</h2><a href=/x>Home</a><label>Name <input id=n></label><p>Two <b>kinds</b></p>"
        "<select aria-label=Size><option>S<option>M</select><button disabled>Pay</button>"
        "<div hidden>unseen</div><input type=checkbox aria-label=Gift checked>"
        "<button onclick=\"document.querySelector('h2').remove()\">Empty it</button>"
    )
    before = tab.look()
    for line in (
        'heading "Cart" level 2',
        'link "Home"',
        'textbox "Name"',
        'text "Two kinds"',
        'combobox "Size" value "S" options "S" | "M"',
        'button "Pay" disabled',
        'checkbox "Gift" checked',
    ):
        ref(before, line)
    assert "unseen" not in before.text
    tab.click(ref(before, "Empty it"))
    after = tab.look()
    assert "Cart" not in after.text
    assert after.digest != before.digest
    assert ref(after, 'link "Home"') == ref(before, 'link "Home"')
    with pytest.raises(Refused, match="not on the page"):
        tab.click(ref(before, "Cart"))


def test_acts_reach_the_page(show: Show) -> None:
    tab = show(
        "<input aria-label=Name><input type=date aria-label=Day>"
        "<select aria-label=Size><option>S<option>M</select>"
        "<input type=checkbox aria-label=Gift><p id=p onmouseover=\"this.textContent='over'\">here</p>"
        "<div id=d style='width:50px;height:50px;background:red' onmousedown=\"this.dataset.a=1\""
        " onmouseup=\"this.ariaLabel='dropped '+event.offsetX\" role=img></div>"
        "<div style='height:3000px'>long</div><script>onkeydown=e=>{document.title+=e.key}</script>"
    )
    look = tab.look()
    tab.type(ref(look, "Name"), "Zoë & co")
    tab.type(ref(look, "Name"), "!", clear=False)
    tab.type(ref(look, "Day"), "2024-05-06")
    tab.choose(ref(look, "Size"), "M")
    tab.click(ref(look, "Gift"))
    tab.hover(ref(look, "here"))
    tab.drag((ref(look, "img"), 5, 5), (ref(look, "img"), 30, 5))
    tab.press("ArrowDown")
    look = tab.look()
    for line in ('"Zoë & co!"', '"2024-05-06"', 'value "M"', '"Gift" checked', '"over"', '"dropped 30"'):
        ref(look, line)
    assert look.title.endswith("!ArrowDown")
    assert tab.scroll(None, down=1)
    assert not tab.scroll(None, right=1)
    for wrong in ("Nonsense", "Control+", ""):
        with pytest.raises(Refused):
            tab.press(wrong)
    with pytest.raises(Refused, match="has no option"):
        tab.choose(ref(look, "Size"), "XL")
    with pytest.raises(Refused, match="nothing to type into"):
        tab.type(ref(look, "Gift"), "x")


def test_what_is_covered_cannot_be_clicked(show: Show) -> None:
    tab = show("<button>Under</button><div style='position:fixed;inset:0' role=dialog aria-label=Over></div>")
    with pytest.raises(Refused, match=r"covered by \[\d+\]"):
        tab.click(ref(tab.look(), "Under"))


def test_redirects_cookies_posts_and_the_way_back(opened: list[Tab]) -> None:
    asked: list[Request] = []

    def serve(request: Request) -> Response:
        asked.append(request)
        if request.url.endswith("/login"):
            return Response(
                303, [("Location", "/home"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; HttpOnly")]
            )
        if request.url.endswith("/home"):
            return html(
                f"<p>{request.headers.get('cookie')}</p><script>localStorage.setItem('k', 'v')</script>"
            )
        return html("<form method=post action=/login><input name=q value='x y'><button>Go</button></form>")

    opened.append(open_tab(OPTIONS, serve))
    tab = opened[0]
    tab.goto(ORIGIN)
    tab.click(ref(tab.look(), "Go"))
    look = tab.look()
    assert (look.url, "a=1; b=2" in look.text) == (f"{ORIGIN}/home", True)
    assert [(r.method, r.body) for r in asked] == [("GET", b""), ("POST", b"q=x+y"), ("GET", b"")]
    memory = tab.memory()
    opened.append(open_tab(OPTIONS, serve, memory))
    opened[1].goto(memory.url)
    assert "a=1; b=2" in opened[1].look().text
    assert opened[1].evaluate("localStorage.getItem('k')") == "v"
    tab.back()
    assert tab.look().url == f"{ORIGIN}/"
    with pytest.raises(Refused, match="no page to go back to"):
        tab.back()


def test_there_is_no_network(show: Show) -> None:
    tab = show("<p>here</p><a href=http://elsewhere.test/>away</a>")
    for address in (
        "http://elsewhere.test",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://[",
        "data:,x",
    ):
        with pytest.raises(Refused):
            tab.goto(address)
    reached = "fetch('http://127.0.0.1:1/').then(() => 'reached', () => 'cut')"
    assert tab.evaluate(reached) == "cut"
    socket = (
        "new Promise(done => {const s = new WebSocket('ws://localhost:1'); s.onerror = () => done('cut')})"
    )
    assert tab.evaluate(socket) == "cut"
    tab.click(ref(tab.look(), "away"))
    tab.goto(ORIGIN)
    assert "here" in tab.look().text


def test_the_clock_stands_still_between_looks(show: Show) -> None:
    body = "<p id=p></p><script>setInterval(() => p.textContent = Date.now() + Math.random(), 200)</script>"
    tab, again = show(body), show(body)
    assert tab.look() == again.look()
    assert tab.evaluate("Date.now()") == tab.evaluate("new Date().getTime()") == OPTIONS.epoch_ms + 500
    tab.wait(60_000)
    assert tab.evaluate("performance.now()") == 60_500


def test_dialogs_windows_and_downloads_hold_nothing_up(opened: list[Tab]) -> None:
    def serve(request: Request) -> Response:
        if request.url.endswith("/file"):
            return Response(200, [("Content-Disposition", "attachment; filename=a.bin")], b"x")
        if request.url.endswith("/other"):
            return html("<p>other</p>")
        return html(
            "<button onclick=\"alert('hey'); document.title = confirm('sure?')\">Ask</button>"
            "<a href=/file>File</a>"
            "<a href=/other target=_blank>Other</a><a href=http://away.test/ target=_blank>Away</a>"
        )

    opened.append(open_tab(OPTIONS, serve))
    tab = opened[0]
    tab.goto(ORIGIN)
    look = tab.look()
    tab.click(ref(look, "Ask"))
    look = tab.look()
    assert look.title == "true"
    assert [notice.split('"')[1] for notice in look.notices] == ["hey", "sure?"]
    tab.click(ref(look, "File"))
    assert "the download of a.bin was cancelled" in tab.look().text
    tab.click(ref(look, "Away"))
    assert "http://away.test/ was closed" in tab.look().text
    tab.click(ref(look, "Other"))
    assert tab.look().url == f"{ORIGIN}/other"


def test_a_page_that_hangs_is_given_up(opened: list[Tab]) -> None:
    hanging = html("<button onclick='for (;;);'>Work</button>")
    opened.append(open_tab(replace(OPTIONS, patience_s=2.0), lambda request: hanging))
    tab = opened[0]
    tab.goto(ORIGIN)
    look = tab.look()
    with pytest.raises(BrowserFailed, match="did not answer within 2 s"):
        tab.click(ref(look, "Work"))
    with pytest.raises(BrowserFailed, match="did not answer within 2 s"):
        tab.look()


def test_a_crash_breaks_the_tab_and_the_next_one_works(show: Show) -> None:
    tab = show("<p>here</p>")
    for process in renderers():
        os.kill(process, signal.SIGKILL)
    with pytest.raises(BrowserFailed):
        tab.look()
    assert tab.broken
    assert "again" in show("<p>again</p>").look().text


def renderers() -> list[int]:
    """The processes below this one that hold a page."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            number = int(folder.name)
            parents[number] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if b"--type=renderer" in (folder / "cmdline").read_bytes():
                found.append(number)

    def ours(process: int) -> bool:
        return process == os.getpid() or (process in parents and ours(parents[process]))

    return [process for process in found if ours(process)]


def test_a_tab_can_be_closed_twice_and_the_next_one_is_quick(show: Show) -> None:
    tab = show("<p>here</p>")
    tab.close()
    tab.close()
    with pytest.raises(BrowserFailed, match="closed"):
        tab.look()
    start = time.monotonic()
    assert "here" in show("<p>here</p>").look().text
    assert time.monotonic() - start < 20
