"""The page in a real browser: what it shows, its keys, widths and themes; nothing hostile comes alive."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from trace_gym.store import Store
from trace_gym.view import questions
from trace_gym.view.app import make_app
from trace_gym.view.export import export
from trace_gym.view.runfile import RunFile

pytestmark = pytest.mark.needs("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FLAGS += ["--disable-dev-shm-usage"]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(make_app(folder), port=0, log_level="error"))
    socket = server.config.bind_socket()
    socket.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    yield f"http://127.0.0.1:{socket.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    with served(runs) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.said, opened.asked = [], []
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    yield opened
    assert opened.said == []
    assert opened.evaluate("window.hurt") is None
    opened.close()


def show(page: Any, address: str, place: str) -> None:
    page.goto(f"{address}#{place}")
    page.reload()
    page.wait_for_selector("h1")


def forked(runs: Path) -> tuple[int, int]:
    row = max(questions.tasks(RunFile(runs / "one"))["rows"], key=lambda row: row["forks"])
    return row["step"], row["tree"]


def test_the_run_page_shows_curves_money_and_the_log(page: Any, address: str) -> None:
    show(page, address, "run=one")
    page.wait_for_selector("text=forks")
    assert page.locator("svg[role=img]").count() >= 2
    assert page.locator("text=onerror").count() >= 1, "hostile text is shown as text"
    assert all(url.startswith((address, "data:")) for url in page.asked)


def test_success_of_nothing_is_a_dash_and_no_point_of_a_curve(page: Any, tmp_path: Path) -> None:
    with Store.create(tmp_path / "one", kind="train", config={}) as store:
        for step, told in enumerate(({"success_bare": 0.25}, {})):
            store.open_step(step, [], [])
            store.close_step(step, {"effective_ratio": 0.0, **told})
    with served(tmp_path) as address:
        show(page, address, "run=one")
        facts = page.text_content(".facts")
        curves = ("Success of the rollouts", "Effective ratio")
        points = [page.locator(f"[aria-label^='{title}'] circle").count() for title in curves]
    assert "\N{EN DASH}success of bare roots, last step" in facts
    assert points == [1, 2]


def test_a_tree_is_walked_with_the_keyboard(page: Any, address: str, runs: Path) -> None:
    step, tree = forked(runs)
    show(page, address, f"run=one&page=tree&step={step}&tree={tree}")
    page.wait_for_selector("section[aria-label=Turn] >> text=The task")
    told = page.inner_text("section[aria-label=Turn]")
    assert re.search(r"Continued from here: (1 rollout|[2-9] rollouts) \(", told)
    page.keyboard.press("j")
    page.wait_for_selector("section[aria-label=Turn] >> text=Node 1")
    page.keyboard.press("j")
    page.wait_for_selector("section[aria-label=Turn] >> text=/Node (?!1:)/")
    page.keyboard.press("h")
    page.wait_for_selector("section[aria-label=Turn] >> text=Node 1")
    page.keyboard.press("k")
    page.wait_for_selector("section[aria-label=Turn] >> text=The task")
    assert page.locator("circle.dot").count() == page.locator("#turns button").count()
    assert page.locator("path.edge.fork").count() >= 1


def test_tasks_are_searched_sorted_and_lead_to_their_tree(page: Any, address: str) -> None:
    show(page, address, "run=one&page=tasks")
    name = page.text_content("tbody a >> nth=0")
    page.fill("#search", name)
    page.keyboard.press("Enter")
    page.click("text=forks")
    page.wait_for_selector("text=forks ↑")
    assert {link.text_content() for link in page.locator("tbody a").all()} == {name}
    page.click("tbody a >> nth=0")
    page.wait_for_selector("circle.dot")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open] >> text=Keys")


def test_runs_are_compared(page: Any, address: str) -> None:
    show(page, address, "run=one&page=compare")
    assert "tasks played by both" in page.text_content("main")


def test_time_shows_the_workers_and_leads_to_their_turns(page: Any, address: str) -> None:
    show(page, address, "run=one&page=time")
    assert page.locator("rect.k-environment").count() > 20
    assert page.locator("tbody tr").count() == len(page.locator("main svg > text").all()) - 5
    page.locator(".bar-of-turn").first.dispatch_event("click")
    page.wait_for_selector("section[aria-label=Turn] >> text=/Played by env-/")


def test_a_screenshot_is_shown_with_its_turn(page: Any, drawn: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    with served(drawn) as address:
        show(page, address, "run=drawn&page=tree&step=0&tree=0&node=1")
        expect(page.locator("img.shot")).to_have_js_property("naturalWidth", 64, timeout=30_000)
    export(RunFile(drawn / "drawn"), tmp_path / "report.html")
    page.goto(f"{(tmp_path / 'report.html').as_uri()}#page=tree&step=0&tree=0&node=1")
    expect(page.locator("img.shot")).to_have_js_property("naturalWidth", 64, timeout=30_000)
    page.goto("about:blank")


@pytest.mark.parametrize("place", ["page=run", "page=tasks", "page=tree", "page=time", "page=compare"])
def test_it_is_readable_on_a_phone_and_accessible_in_both_themes(
    page: Any, address: str, runs: Path, place: str
) -> None:
    step, tree = forked(runs)
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 390, "height": 844})
        show(page, address, f"run=one&{place}&step={step}&tree={tree}&node=1")
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.evaluate(axe)
        found = page.evaluate("axe.run()")["violations"]
        serious = [v["id"] for v in found if v["impact"] in ("serious", "critical")]
        assert serious == [], (scheme, found)


def test_a_report_is_read_without_a_server(page: Any, runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    export(RunFile(runs / "one"), file)
    step, tree = forked(runs)
    page.goto(f"{file.as_uri()}#page=tree&step={step}&tree={tree}&node=1")
    page.wait_for_selector("section[aria-label=Turn] >> text=Node 1")
    assert all(url.startswith(("file:", "data:")) for url in page.asked)
