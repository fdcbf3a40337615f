"""The shop in a real Chromium: the oracle gets errands done, forks copy the page as it stands, phones fit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest

from trace_gym.core.action import Action
from trace_gym.core.task import Split, Task
from trace_gym.environment.browser_wire import TabOptions
from trace_gym_envs.shop.chromium import PHONE, ShopBrowser
from trace_gym_envs.shop.hands import typed
from trace_gym_envs.shop.listing import KINDS
from trace_gym_envs.shop.world import world

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def env() -> Iterator[ShopBrowser]:
    made = ShopBrowser()
    yield made
    made.close()


def opened(env: ShopBrowser, kind: str, number: int = 0) -> Task:
    task = ShopBrowser.tasks(Split.TEST, subset=kind)[number]
    env.reset(seed=0, options={"task": task})
    return task


def call(env: ShopBrowser, name: str, **arguments: Any) -> str:
    return env.step(Action.call(name, **arguments))[0]


def ref(page: str, what: str) -> int:
    found = re.search(rf"\[(\d+)\] {what}", page)
    assert found, (what, page)
    return int(found[1])


def finish(env: ShopBrowser) -> bool:
    info, done = dict[str, Any](), False
    while not done:
        *_, terminated, truncated, info = env.step(env.oracle())
        done = terminated or truncated
    return info["success"] is True


def test_an_errand_is_done_by_links_forms_and_the_search(env: ShopBrowser) -> None:
    opened(env, "checkout")
    names = [env.oracle()]
    assert finish(env)
    names += list(env.progress.actions)
    assert {made.calls[0].name for made in names if made} >= {"click", "type", "select", "answer"}
    assert "Thank you. Your order N9" in str(env.state.shown.body)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "checkout"])
def test_the_oracle_runs_every_kind_of_errand(env: ShopBrowser, kind: str) -> None:
    opened(env, kind, 3)
    assert finish(env)


def test_a_fork_has_the_notice_the_fields_and_the_cookies_of_the_page(env: ShopBrowser) -> None:
    task = opened(env, "cart")
    product = next(p for p in world(task.family).products if p.sku not in str(task.payload))
    page = call(env, "goto", url=f"/p/{product.sku}")
    call(env, "type", ref=ref(page, 'textbox "Quantity"'), text="3")
    at_fields = env.snapshot()
    assert at_fields.strategy == "copy"
    bought = env.step(Action.call("click", ref=ref(page, 'button "Add to cart"')))
    assert f"3 x {product.name} put into your cart." in bought[0]
    call(env, "type", ref=ref(bought[0], 'textbox "Coupon"'), text="MAPLE")
    at_notice, seen = env.snapshot(), env.page
    went = [env.step(Action.call("click", ref=ref(seen.text, 'button "Apply"')))]
    went += [env.step(Action.call("back")), env.step(Action.call("goto", url="/"))]
    assert "Seen lately" in went[-1][0]
    other = ShopBrowser()
    other.restore(at_notice)
    assert other.page == seen
    assert "put into your cart" in other.page.text
    assert [other.step(action) for action in env.progress.actions[-3:]] == went
    other.restore(at_fields)
    assert other.step(Action.call("click", ref=ref(page, 'button "Add to cart"'))) == bought
    other.close()


def test_only_the_shop_can_be_reached_and_lists_are_selected_from(env: ShopBrowser) -> None:
    opened(env, "find")
    assert "there is no network" in call(env, "goto", url="https://example.org/")
    page = call(env, "goto", url="/search")
    box = ref(page, 'combobox "Sort"')
    assert call(env, "click", ref=box) == f"click: [{box}] is a list: use select."
    assert 'value "Rating, best first"' in call(env, "select", ref=box, option="Rating, best first")
    assert "Not found" in call(env, "goto", url="/../../etc/passwd")
    assert call(env, "back").startswith('page "All goods')


def test_keys_in_mid_text_are_spaces_and_the_last_one_is_enter() -> None:
    assert [typed(text) for text in ("a", "a\n", "a\nb\tc\r\n\n", "\n")] == ["a", "a\n", "a b c\n", "\n"]


def test_no_page_is_wider_than_a_phone() -> None:
    env = ShopBrowser(phone=True)
    task = opened(env, "coupon")
    made = world(task.family)
    customer = made.customers[task.payload["customer"] - 1]
    sent = next(order for order in customer.orders if order.status == "delivered")
    product = f"/p/{made.products[0].sku}"
    orders = ("/orders", f"/orders/{sent.number}", f"/orders/{sent.number}/return/{sent.lines[0][0]}")
    for path in ("/", "/search", product, "/cart", "/checkout", *orders, "/account", "/account/addresses"):
        call(env, "goto", url=path)
        widths = env.tab.evaluate(
            "[...document.querySelectorAll('body *')].map((each) => each.getBoundingClientRect().right)"
        )
        assert max(widths) <= PHONE[0], path
    env.close()


class Awake(ShopBrowser):
    """The shop in real time, which axe needs."""

    def tab_options(self, task: Task) -> TabOptions:
        return replace(super().tab_options(task), tick_ms=None)


def test_axe_finds_nothing_to_say() -> None:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    env = Awake()
    task = opened(env, "coupon")
    for path in ("/", f"/p/{world(task.family).products[0].sku}", "/cart", "/account"):
        call(env, "goto", url=path)
        found = env.tab.evaluate(
            f"(() => {{ {axe}; return axe.run().then((told) => told.violations.map((each) => each.id)) }})()"
        )
        assert found == [], path
    env.close()
