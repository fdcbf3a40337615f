"""The shop in its text browser: errands that are what they say, an oracle from anywhere, forks, hostility."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import pytest

from trace_gym.core.action import Action
from trace_gym.core.errors import BadConfig, UnknownName
from trace_gym.core.task import Split, Task
from trace_gym.environment.certify import certify
from trace_gym.environment.registry import suite
from trace_gym.environment.tasks import straddling
from trace_gym.environment.trial import Plan, Wanderer
from trace_gym_envs.shop import Shop
from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.listing import KINDS
from trace_gym_envs.shop.world import Product, world

HOSTILE = """<script>alert(1)</script>"><form action=/x>&amp;'; DROP TABLE orders; --"""


@pytest.fixture
def env() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.close()


def some(kind: str, count: int, split: Split = Split.TEST) -> list[Task]:
    return list(islice(Shop.tasks(split, subset=kind), count))


def opened(env: Shop, task: Task) -> str:
    return env.reset(seed=0, options={"task": task})[0]


def call(env: Shop, name: str, **arguments: Any) -> str:
    return env.step(Action.call(name, **arguments))[0]


def finished(env: Shop) -> dict[str, Any]:
    """Let the oracle end the episode."""
    done, info = False, dict[str, Any]()
    while not done:
        _, reward, terminated, truncated, info = env.step(env.oracle())
        done = terminated or truncated
        assert reward == float(done and info["success"] is True)
    return info


def standing(env: Shop) -> dict[str, tuple[str, str]]:
    return {v.name: (v.status.value, v.evidence) for v in env.progress.verdicts}


# Tasks.


def test_every_kind_is_in_both_splits_and_no_world_is() -> None:
    train, test = (list(islice(Shop.tasks(split), 600)) for split in Split)
    assert {t.subset for t in train} == {t.subset for t in test} == set(KINDS)
    assert len({t.family for t in test}) == 12
    assert not straddling(train, test)
    goods = [{p.name for t in side[:40] for p in world(t.family).products} for side in (train, test)]
    departments = [{p.department for t in side for p in world(t.family).products} for side in (train, test)]
    assert not goods[0] & goods[1]
    assert not departments[0] & departments[1]


def test_subsets_are_parts_of_the_whole_and_options_are_checked() -> None:
    whole = {t.id: t for t in Shop.tasks(Split.TEST)[:1000]}
    parts = [t for kind in KINDS for t in some(kind, 40)]
    assert sum(t.id in whole for t in parts) > 400
    assert all(whole[t.id] == t for t in parts if t.id in whole)
    assert len({t.family for t in Shop.tasks(Split.TRAIN, worlds=90)[:200]}) == 90
    assert {t.limits.max_turns for t in Shop.tasks(Split.TRAIN, subset="history", turns=5)[:40]} == {5}
    with pytest.raises(UnknownName, match="refusal"):
        Shop.tasks(Split.TEST, subset="refusals")
    with pytest.raises(BadConfig, match="turns must be at least 1, got 0"):
        Shop.tasks(Split.TEST, turns=0)


def test_an_errand_survives_being_written_as_json() -> None:
    for kind in KINDS:
        task = some(kind, 1)[0]
        written = json.loads(json.dumps(task.payload))
        assert written == task.payload
        assert Errand.of(written) == Errand.of(task.payload)


def test_only_one_article_fits_what_is_asked_for() -> None:
    """The request is read again, by other code than wrote it."""
    for task in some("find", 150) + some("find", 150, Split.TRAIN):
        errand = Errand.of(task.payload)
        products = world(errand.world).products
        asked = re.search(r"(?:Find the (.+?) that|Which (.+?)) (?:is|has|costs|weighs|comes) ", errand.text)
        assert asked, errand.text
        fits = [p.sku for p in products if p.noun == (asked[1] or asked[2]) and fit(p, errand)]
        assert fits == [errand.gold], errand.text


def fit(product: Product, errand: Errand) -> bool:
    text, had = errand.text, dict(product.features)
    tests = [
        (r"costs at most \$(\d+)\.00", lambda v: product.price <= int(v) * 100),
        (r"rated ([\d.]+) or better", lambda v: product.stars >= float(v)),
        (r"warranty of at least (\d+) months", lambda v: product.warranty >= int(v)),
        (r"has (\d+) months of warranty", lambda v: product.warranty == int(v)),
        (r"weighs no more than (\d+) g", lambda v: product.weight_g <= int(v)),
        (r"and weighs (\d+) g", lambda v: product.weight_g == int(v)),
    ]
    tests += [
        (rf"has the {name} ([\w .-]+?)(?:,| and |\. |\? )", lambda v, n=name: had[n] == v) for name in had
    ]
    found = [(test, match[1]) for pattern, test in tests if (match := re.search(pattern, text))]
    assert len(found) >= 2, text
    return all(test(value) for test, value in found)


def test_what_is_asked_of_the_past_is_what_the_pages_say(env: Shop) -> None:
    for task in some("history", 60):
        errand = Errand.of(task.payload)
        opened(env, task)
        page = call(env, "goto", address=errand.watch[0])
        if "all orders that I placed in" in errand.text:
            month = re.search(r"placed in (\S+)", errand.text)
            assert month
            sums = re.findall(rf"{month[1]}-\d\d \w+ \$(\d+)\.(\d\d)", page)
            total = sum(int(dollars) * 100 + int(cents) for dollars, cents in sums)
            assert f"{total // 100}.{total % 100:02d}" == errand.gold
        else:
            assert errand.gold in page


# Running errands.


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_runs_every_kind_of_errand(env: Shop, kind: str) -> None:
    for task in some(kind, 12) + some(kind, 6, Split.TRAIN):
        opened(env, task)
        assert finished(env)["success"] is True, task.key


def test_the_oracle_mends_what_a_wanderer_has_broken(env: Shop) -> None:
    mended = tried = 0
    for number, task in enumerate(islice(Shop.tasks(Split.TRAIN), 60)):
        opened(env, task)
        wander = Wanderer(np.random.default_rng(number), oracle=0.3)
        for _ in range(6):
            action = wander(env)
            calls = action.calls if isinstance(action, Action) else ()
            if calls and all(made.name != "answer" for made in calls):
                env.step(action)
        tried += 1
        mended += finished(env)["success"] is True
    assert mended >= tried - 2


def test_progress_is_seen_before_the_end_and_other_changes_fail(env: Shop) -> None:
    task = some("cart", 1)[0]
    errand = Errand.of(task.payload)
    opened(env, task)
    assert standing(env)["removed"][0] == "fail"
    worth = env.progress.worth
    page = call(env, "goto", address="/cart")
    assert standing(env)["page_1"] == ("pass", "/cart was read")
    name = next(p.name for p in world(errand.world).products if f"cart/{p.sku}" == errand.goals[1].key)
    found = re.search(rf"\[\d+ {name}\].*?\n.*?\n\[(\d+) \(Remove\)\]", page)
    assert found
    call(env, "click", number=int(found[1]))
    assert standing(env)["removed"][0] == "pass"
    assert env.progress.worth > worth
    assert standing(env)["nothing_else"][0] == "pass"
    other = next(p for p in world(errand.world).products if p.sku not in str(task.payload))
    call(env, "goto", address=f"/p/{other.sku}")
    call(
        env,
        "submit",
        number=next(n for n, i in enumerate(env.state.tab.sight.items, 1) if i.name == "quantity"),
    )
    assert standing(env)["nothing_else"] == (
        "fail",
        f"1 changed besides: cart/{other.sku} from missing to '1'",
    )
    assert finished(env)["success"] is True


def test_what_a_rule_forbids_must_be_left_and_the_rule_named(env: Shop) -> None:
    tasks = some("refusal", 60)
    forbidden = [t for t in tasks if t.payload["gold"]]
    assert 15 < len(forbidden) < 45
    task = forbidden[0]
    opened(env, task)
    *_, info = env.step(Action(message=f"I am sorry, but rule {task.payload['gold'].lower()} forbids it."))
    assert info["success"] is True
    every = " ".join(f"R{number}" for number in range(1, 40))
    for said in ("Done.", "R99", every, f"{task.payload['gold']} or R98"):
        opened(env, task)
        *_, info = env.step(Action.call("answer", text=said))
        assert info["success"] is False, said
    allowed = next(t for t in tasks if not t.payload["gold"])
    opened(env, allowed)
    while (action := env.oracle()) is not None and action.calls[0].name != "answer":
        env.step(action)
    *_, info = env.step(Action.call("answer", text="Not done: R1 forbids it."))
    assert info["success"] is False


def test_another_customer_is_faster_and_nothing_is_ordered_then(env: Shop) -> None:
    task = next(t for t in some("stock", 40) if t.payload["rival"])
    sku, left, count = task.payload["rival"]
    opened(env, task)
    for _ in range(count):
        call(env, "goto", address=f"/p/{sku}")
        numbers = {item.label: n for n, item in enumerate(env.state.tab.sight.items, 1)}
        call(env, "click", number=numbers["Add to cart"])
    page = call(env, "goto", address="/checkout")
    number = re.search(r"\[(\d+) \(Place order\)\]", page)
    assert number
    page = call(env, "click", number=int(number[1]))
    assert f"somebody was faster, only {left} of" in page
    assert page.startswith("/cart\n")
    assert env.state.tab.database.value("select count(*) from orders where fresh = 1") == 0
    assert standing(env)["conflict_met"][0] == "pass"
    assert finished(env)["success"] is True


# The browser.


def test_actions_that_no_page_takes_are_answered(env: Shop) -> None:
    opened(env, some("find", 1)[0])
    assert call(env, "click", number=2) == '[2] is no link or button: [2 Search: ""]'
    assert call(env, "click", number=150).startswith("There is no [150] on this page; it has 1 to ")
    assert call(env, "fill", number=4, text="x") == "[4 Offers] is a link; it takes no text."
    assert call(env, "submit", number=4) == "[4 Offers] belongs to no form."
    call(env, "goto", address="/search")
    assert "has no such option 'Toys'; it has: All; " in call(env, "select", number=10, option="Toys")
    for address in ("https://example.org/", "//example.org", "file:///etc/passwd", "/a b", "/\x00", "cart"):
        assert "goto takes addresses of this shop" in call(env, "goto", address=address)
    assert "# Not found" in call(env, "goto", address="/../../etc/passwd")
    assert call(env, "back").startswith("/search\n")
    assert call(env, "back").startswith("/\n")
    assert call(env, "back") == "There is no page to go back to."


def test_filters_sorting_and_pages_of_a_search(env: Shop) -> None:
    task = some("find", 1)[0]
    products = world(task.family).products
    opened(env, task)
    page = call(env, "goto", address="/search?sort=cheap&max=50")
    prices = [float(price) for price in re.findall(r"\$([\d.]+)", page)]
    assert prices == sorted(prices)
    assert len(prices) == 8
    assert max(prices) <= 50
    found = sum(p.price <= 5000 for p in products)
    assert f"{found} found, page 1 of {-(-found // 8)}" in page
    number = re.search(r"\[(\d+) Next page\]", page)
    assert number
    assert "page 2 of" in call(env, "click", number=int(number[1]))
    assert "Nothing fits" in call(env, "search", words="kettle' OR 1=1 --")
    assert "60 found, page 8 of 8" in call(env, "goto", address="/search?page=999")


def test_a_customer_sees_nothing_of_another(env: Shop) -> None:
    task = some("history", 1)[0]
    others = [c for n, c in enumerate(world(task.family).customers, 1) if n != task.payload["customer"]]
    opened(env, task)
    for path in ("", "/address", "/cancel", f"/return/{others[0].orders[0].lines[0][0]}"):
        assert "# Not found" in call(env, "goto", address=f"/orders/{others[0].orders[0].number}{path}")
    theirs = 10 * (1 + task.payload["customer"] % len(others)) + 1
    assert "# Not found" in call(env, "goto", address=f"/account/addresses/{theirs}")
    env.state.tab.cookies["session"] = "session-99"
    assert call(env, "goto", address="/orders") == "/orders\nYour session has ended."


def test_hostile_text_stays_text_wherever_it_is_shown(env: Shop) -> None:
    task = some("review", 1)[0]
    errand = Errand.of(task.payload)
    opened(env, task)
    sku = errand.goals[0].key.removeprefix("review/")
    tab = env.state.tab
    for address in (f"/p/{sku}/review", "/account/addresses/new", "/account"):
        call(env, "goto", address=address)
        items = tab.sight.items
        for number, item in enumerate(items, 1):
            if item.kind == "input" and item.name not in ("q", "email"):
                call(env, "fill", number=number, text=HOSTILE)
        call(env, "click", number=next(n for n, i in enumerate(items, 1) if i.label in ("Publish", "Save")))
    call(env, "goto", address=f"/p/{sku}")
    items = tab.sight.items
    call(env, "click", number=next(n for n, i in enumerate(items, 1) if i.label == "Add to cart"))
    shown = 0
    for address in (
        f"/p/{sku}",
        "/account/addresses",
        "/account",
        "/checkout",
        f"/p/{sku}/review",
        "/orders",
    ):
        call(env, "goto", address=address)
        html = env.line.request(tab.database, "GET", address, cookies=tab.cookies).body.decode()
        assert "<script" not in html
        assert "<form action=/x" not in html
        assert len(tab.sight.forms) == html.count("<form ")
        shown += "<script>alert(1)</script>" in tab.sight.text
    assert shown >= 3
    assert tab.database.value("select count(*) from orders") > 0
    for said in (HOSTILE, "x" * 300, "\u202e\x07"):
        assert "\x07" not in call(env, "search", words=said).partition("\n")[2]


# Forks.


def test_children_of_a_snapshot_have_shops_cookies_and_drafts_of_their_own(env: Shop) -> None:
    task = some("checkout", 1)[0]
    opened(env, task)
    product = world(task.family).products[0]
    page = call(env, "goto", address=f"/p/{product.sku}")
    number = re.search(r'\[(\d+) Quantity: "1"\]', page)
    assert number
    call(env, "fill", number=int(number[1]), text="3")
    snapshot = env.snapshot()
    assert snapshot.strategy == "copy"

    def child(count: int) -> tuple[str, str]:
        other = Shop()
        other.restore(snapshot)
        if count != 3:
            call(other, "fill", number=int(number[1]), text=str(count))
        bought = call(other, "submit", number=int(number[1]))
        home = call(other, "goto", address="/")
        other.close()
        return bought, home

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(child, [1, 2, 3, 4]))
    for count, (bought, home) in enumerate(ends, 1):
        assert f"{count} x {product.name} put into your cart." in bought
        assert f"Cart ({count})" in bought
        assert "Seen lately" in home
    assert "Cart (0)" in call(env, "goto", address="/cart")


def test_a_closed_environment_can_be_used_again(env: Shop) -> None:
    task = some("find", 1)[0]
    first = opened(env, task)
    env.close()
    env.close()
    assert opened(env, task) == first


def test_it_certifies() -> None:
    report = certify(suite("shop"), Plan(tasks=12, episodes=40, forks=24, fuzz=400, scan=400))
    assert report.passed, report.failures


def test_random_text_never_breaks_a_page(env: Shop) -> None:
    rng = random.Random(5)
    opened(env, some("account", 1)[0])
    for _ in range(30):
        tab, said = (
            env.state.tab,
            "".join(chr(rng.choice((rng.randint(0, 255), 0x202E, 0x1F600))) for _ in range(40)),
        )
        number = rng.randint(1, len(tab.sight.items))
        item = tab.sight.items[number - 1]
        if item.kind == "input":
            call(env, "fill", number=number, text=said)
        else:
            call(env, "click", number=number)
        if env.progress.done:
            break
    assert "\n" in env.state.tab.page()
