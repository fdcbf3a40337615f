"""The compact rendering of the shop: a closed vocabulary over the same application, database and checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice

import numpy as np
import pytest

from trace_gym.core.action import Action
from trace_gym.core.check import Status
from trace_gym.core.errors import UnknownName
from trace_gym.core.task import Split, Task
from trace_gym.environment.audit import audit
from trace_gym.environment.certify import Plan, certify
from trace_gym.environment.registry import suite
from trace_gym.environment.spaces import ActionSpace
from trace_gym.environment.tasks import straddling
from trace_gym_envs.shop.compact import COMPACT_VOCABULARY, KINDS, MAX_TURNS, ShopCompact
from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.likeness import likeness
from trace_gym_envs.shop.listing import errand_task, listed
from trace_gym_envs.shop.suite import Shop


@pytest.fixture
def env() -> Iterator[ShopCompact]:
    made = ShopCompact()
    yield made
    made.close()


def some(kind: str, count: int, split: Split = Split.TRAIN) -> list[Task]:
    return list(islice(ShopCompact.tasks(split, subset=kind), count))


def opened(env: ShopCompact, task: Task) -> str:
    observation: str = env.reset(seed=0, options={"task": task})[0]
    return observation


def said(env: ShopCompact, line: str) -> str:
    """What a call, spelled as the compact renderer spells it, brings back."""
    name, *words = line.split()
    names = list(ShopCompact.methods[name].spec.parameters["properties"])
    values = [int(word) if word.isdigit() else word for word in words]
    observation: str = env.step(Action.call(name, **dict(zip(names, values, strict=True))))[0]
    return observation


def success(env: ShopCompact) -> bool:
    *_, info = env.step(Action.call("done"))
    return info["success"] is True


def bought_before(env: ShopCompact) -> Iterator[str]:
    """The articles of all past orders."""
    database, customer = env.state.tab.database, env.errand.customer
    sql = "select l.sku from lines l join orders o on o.number = l.number where o.customer = ?"
    for (sku,) in database.rows(sql, customer):
        yield env.symbols.article(sku)


def finished(env: ShopCompact) -> tuple[int, bool]:
    """Let the oracle end the episode: how many turns that took, and did it succeed?"""
    for turn in range(1, 40):
        action = env.oracle()
        assert action is not None
        _, reward, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            return turn, reward == 1.0
    raise AssertionError("the oracle does not come to an end")


def test_a_cart_is_put_right_by_hand(env: ShopCompact) -> None:
    """The errand asks for 1 of a14, no a8 and 3 of a21; a5 stays."""
    observation = opened(env, errand_task("shop_compact", Split.TRAIN, "train-000", "cart", 0))
    assert observation == "cart set a14 1 drop a8 add a21 3 ; front"
    assert said(env, "open cart") == "cart a14 4 ; a8 2 ; a5 2 ;"
    assert said(env, "set a14 1") == "cart a14 1 ; a8 2 ; a5 2 ;"
    assert said(env, "drop a8") == "cart a14 1 ; a5 2 ;"
    assert said(env, "open a21") == "item a21"
    assert said(env, "add 3") == "cart a21 3 ; a14 1 ; a5 2 ;"
    assert success(env)


def test_a_review_of_what_only_the_order_tells(env: ShopCompact) -> None:
    """The errand names an order and a sort of article; the order's page tells which article that is."""
    observation = opened(env, errand_task("shop_compact", Split.TRAIN, "train-028", "review", 0))
    assert observation == "rate o9 k6 1 t5 x5 ; front"
    assert said(env, "open o9") == "o9 delivered k6 a28 3 ; k5 a25 2 ;"
    assert said(env, "open a28") == "item a28"
    assert said(env, "review") == "review a28"
    assert said(env, "rate 1 t5 x5") == "item a28"
    assert success(env)


def test_goods_that_another_customer_took(env: ShopCompact) -> None:
    """The preferred article is short at the moment of buying; nothing is bought, and the other one does."""
    task = next(task for task in some("stock", 40) if Errand.of(task.payload).rival is not None)
    words = opened(env, task).split()
    first, count, second = words[1], words[2], words[4]
    assert words[3] == "or"
    assert said(env, f"open {first}") == f"item {first}"
    assert said(env, f"add {count}") == f"cart {first} {count} ;"
    assert said(env, "open checkout") == "checkout"
    assert said(env, "buy home standard c1") == f"cart {first} {count} short ;"
    assert said(env, f"drop {first}") == "cart"
    said(env, f"open {second}")
    said(env, f"add {count}")
    said(env, "open checkout")
    bought = said(env, "buy home standard c1").split()
    assert bought[:2] == ["new", "placed"]
    assert bought[3:] == [second, count, ";", "home", "standard", "c1"]
    assert success(env)


def test_the_request_does_not_tell_whether_goods_will_run_short(env: ShopCompact) -> None:
    shapes = set()
    for task in some("stock", 40):
        words = opened(env, task).split()
        shapes.add((Errand.of(task.payload).rival is not None, words[3], tuple(words[6:])))
    assert shapes == {(gone, "or", ("home", "standard", "c1", ";", "front")) for gone in (False, True)}


@pytest.mark.parametrize(
    "line",
    ["set a14 1", "drop a8", "add 1", "send 1 mind card", "review", "rate 1 t1 x1", "cancel", "open a99"],
)
def test_what_the_page_has_no_form_for_is_not_done(env: ShopCompact, line: str) -> None:
    opened(env, errand_task("shop_compact", Split.TRAIN, "train-000", "cart", 0))
    before = env.state.tab.database.image()
    assert said(env, line) == "none front"
    assert env.state.tab.database.image() == before


def test_only_what_was_bought_can_be_reviewed(env: ShopCompact) -> None:
    opened(env, errand_task("shop_compact", Split.TRAIN, "train-000", "cart", 0))
    owned = set(bought_before(env))
    other = next(word for word in (f"a{number}" for number in range(1, 61)) if word not in owned)
    assert said(env, f"open {other}") == f"item {other}"
    assert said(env, "review") == f"none item {other}"


def test_what_was_done_besides_fails_and_can_be_mended(env: ShopCompact) -> None:
    opened(env, errand_task("shop_compact", Split.TRAIN, "train-000", "cart", 0))
    said(env, "open a2")
    said(env, "add 1")
    found = {verdict.name: verdict.status for verdict in env.checks()}
    assert found["nothing_else"] is Status.FAIL
    assert finished(env)[1]


def test_an_order_placed_by_mistake_is_cancelled_by_the_oracle(env: ShopCompact) -> None:
    opened(env, errand_task("shop_compact", Split.TRAIN, "train-021", "checkout", 0))
    for line in ("open a7", "add 1", "open checkout", "buy work standard c1"):
        said(env, line)
    assert finished(env)[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_finishes_every_kind_in_less_than_its_turns(env: ShopCompact, kind: str) -> None:
    for task in [*some(kind, 12), *some(kind, 12, Split.TEST)]:
        opened(env, task)
        turns, won = finished(env)
        assert won
        assert turns < MAX_TURNS
        assert task.limits.max_turns == MAX_TURNS


@pytest.mark.parametrize("kind", KINDS)
def test_errands_and_checks_are_those_of_the_shop(env: ShopCompact, kind: str) -> None:
    """The same errand in both renderings: the same facts are asked for by the same verdicts."""
    task = some(kind, 1)[0]
    place, number = task.family, task.seed
    full, shop = errand_task("shop", Split.TRAIN, place, kind, number), Shop()
    opened(env, task)
    shop.reset(seed=0, options={"task": full})
    assert full.payload == task.payload
    assert list(shop.checks()) == list(env.checks())
    shop.close()


def test_the_vocabulary_has_every_word_once() -> None:
    assert len(set(COMPACT_VOCABULARY)) == len(COMPACT_VOCABULARY)
    assert all(word.split() == [word] for word in COMPACT_VOCABULARY)


def test_whatever_the_tools_say_is_in_the_vocabulary(env: ShopCompact) -> None:
    words, rng = set(COMPACT_VOCABULARY), np.random.default_rng(0)
    for task in list(islice(ShopCompact.tasks(Split.TEST), 40)):
        observation, done = opened(env, task), False
        while not done:
            assert set(observation.split()) <= words
            space = ActionSpace(env.available(), messages=0.0, several=0.0, seed=rng)
            action = env.oracle() if rng.random() < 0.4 else space.sample()
            assert action is not None
            called = [str(value) for call in action.calls for value in (call.name, *call.arguments.values())]
            assert set(called) <= words
            observation, _, terminated, truncated, _ = env.step(action)
            done = terminated or truncated


def test_splits_hold_worlds_out() -> None:
    train, test = ShopCompact.tasks(Split.TRAIN), ShopCompact.tasks(Split.TEST)
    assert (len(train), len(test)) == (48_000, 7_200)
    assert straddling(train[:400], test[:400]) == ()
    assert {task.subset for task in train[:400]} == set(KINDS)
    assert len({task.family for task in test[:400]}) == 12
    with pytest.raises(UnknownName, match="refusal"):
        ShopCompact.tasks(Split.TRAIN, subset="refusal")


def test_the_test_split_is_as_published() -> None:
    listed_now = [[t.id, t.family, t.seed, t.subset, dict(t.payload)] for t in ShopCompact.tasks(Split.TEST)]
    text = json.dumps(listed_now, sort_keys=True)
    assert blake2b(text.encode(), digest_size=8).hexdigest() == "2ada73741361abe8"


@pytest.mark.parametrize("kind", KINDS)
def test_no_errand_of_testing_is_trained_on_in_another_world(kind: str) -> None:
    tested = {likeness(Errand.of(task.payload)) for task in ShopCompact.tasks(Split.TEST, subset=kind)}
    train = list(ShopCompact.tasks(Split.TRAIN, subset=kind)[::4])
    assert tested.isdisjoint(likeness(Errand.of(task.payload)) for task in train)
    assert len({task.id for task in train}) == len(train)
    worlds = list(ShopCompact.tasks(Split.TRAIN, subset=kind, worlds=60)[50:400:60])
    assert tested.isdisjoint(likeness(Errand.of(task.payload)) for task in worlds)


def reference(env: ShopCompact, task: Task) -> tuple[str, ...]:
    """All that the oracle is shown, and does."""
    seen, done = [opened(env, task)], False
    while not done:
        action = env.oracle()
        assert action is not None
        observation, _, terminated, truncated, _ = env.step(action)
        seen += [str(action.json()), observation]
        done = terminated or truncated
    return tuple(seen)


@pytest.mark.parametrize(("kind", "count"), [("stock", 150), ("checkout", 900)])
def test_episodes_that_are_the_same_are_alike(env: ShopCompact, kind: str, count: int) -> None:
    """Over worlds of both splits, listed as they come."""
    found: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    openings: dict[str, list[Task]] = {}
    for split in Split:
        for task in islice(listed("shop_compact", split, subset=kind, kinds=KINDS), count):
            openings.setdefault(opened(env, task), []).append(task)
    for tasks in openings.values():
        for task in tasks if len({task.split for task in tasks}) == 2 else ():
            found.setdefault(reference(env, task), set()).add(likeness(Errand.of(task.payload)))
    assert len(found) > 5
    assert {len(alike) for alike in found.values()} == {1}


def test_the_split_is_sound() -> None:
    found = audit(suite("shop_compact"), most=300)
    assert (found.twice, found.straddling, found.read) == ((), (), (300, 300))


def test_it_is_certified() -> None:
    report = certify(suite("shop_compact"), Plan(fuzz=300, forks=30, scan=500))
    assert report.passed, report.rows()
