"""Errands about goods: find one, compare some, fill a cart, use the best coupon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from trace_gym_envs.shop.database import Database
from trace_gym_envs.shop.desk import money
from trace_gym_envs.shop.errand import Errand, Goal
from trace_gym_envs.shop.pages.cart import saving
from trace_gym_envs.shop.stocking import image
from trace_gym_envs.shop.world import Product, World

Test = Callable[[Product], bool]


def find(rng: Random, world: World) -> Errand:
    """The one article that meets every condition; asked for by item number."""
    target = rng.choice(world.products)
    rivals = [p for p in world.products if p.noun == target.noun]
    conditions = list(_conditions(target))
    rng.shuffle(conditions)
    said: list[str] = []
    for text, test in conditions:
        left = [p for p in rivals if test(p)]
        if len(left) < len(rivals) or len(said) < 2:
            rivals = left
            said.append(text)
        if rivals == [target] and len(said) >= 2:
            break
    if rivals != [target]:
        said.append(f"has {target.warranty} months of warranty and weighs {target.weight_g} g")
    asks = (
        f"Find the {target.noun} that {_listed(said)}. Answer with its item number.",
        f"Which {target.noun} {_listed(said)}? Only one here fits: tell me its item number.",
    )
    return Errand(
        "find",
        world.name,
        _customer(rng, world),
        rng.choice(asks),
        watch=(f"/p/{target.sku}",),
        sort="item number",
        gold=target.sku,
    )


def compare(rng: Random, world: World) -> Errand:
    """Put the best of three into the cart."""
    measures: tuple[tuple[str, Callable[[Product], float]], ...] = (
        ("has the longest warranty", lambda p: -p.warranty),
        ("is the lightest", lambda p: p.weight_g),
        ("is the heaviest", lambda p: -p.weight_g),
        ("has the best rating", lambda p: -p.stars),
    )
    while True:
        text, measure = rng.choice(measures)
        noun = rng.choice(world.products).noun
        three = rng.sample([p for p in world.products if p.noun == noun], 3)
        ranked = sorted(three, key=measure)
        if measure(ranked[0]) < measure(ranked[1]) - 0.09:
            break
    named = _listed([p.name for p in three])
    asks = (
        f"Compare these: {named}. Put one piece of the one that {text} into my cart, nothing else.",
        f"Which of {named} {text}? Put one of it into my cart.",
    )
    return Errand(
        "compare",
        world.name,
        _customer(rng, world),
        rng.choice(asks),
        goals=(Goal("in_cart", f"cart/{ranked[0].sku}", "1"),),
        watch=tuple(f"/p/{p.sku}" for p in three),
    )


def cart(rng: Random, world: World) -> Errand:
    """Bring a cart into order: a quantity changed, an article out, another in."""
    one, other, stays, new = rng.sample(world.products, 4)
    had = rng.randint(1, 5)
    count = rng.choice([n for n in range(1, 6) if n != had])
    more = rng.randint(1, 4)
    pieces = "piece" if more == 1 else "pieces"
    asks = (
        f"Set my cart right: {count} of the {one.name}, no {other.name}, and add {more} {pieces} of the "
        f"{new.name}. What else is in it stays.",
        f"In my cart, take out the {other.name}, make it {count} of the {one.name}, and put in {more} "
        f"{pieces} of the {new.name}. Leave the rest alone.",
    )
    goals = (
        Goal("quantity", f"cart/{one.sku}", str(count)),
        Goal("removed", f"cart/{other.sku}", None),
        Goal("added", f"cart/{new.sku}", str(more)),
    )
    held = ((one.sku, had), (other.sku, rng.randint(1, 3)), (stays.sku, rng.randint(1, 2)))
    return Errand(
        "cart", world.name, _customer(rng, world), rng.choice(asks), goals=goals, watch=("/cart",), cart=held
    )


def coupon(rng: Random, world: World) -> Errand:
    """Put the coupon that saves the most on what is in the cart on it."""
    while True:
        held = tuple((p.sku, rng.randint(1, 3)) for p in rng.sample(world.products, rng.randint(2, 3)))
        saved = _savings(world, held)
        if len(saved) > 1 and saved[0][0] > saved[1][0]:
            break
    asks = (
        "Put the coupon from the offers that takes the most off what is in my cart on it. Do not order yet.",
        "Which coupon saves me the most on my cart as it is? Apply it, but do not check out.",
    )
    return Errand(
        "coupon",
        world.name,
        _customer(rng, world),
        rng.choice(asks),
        goals=(Goal("coupon", "coupon", saved[0][1]),),
        watch=("/cart", "/offers"),
        cart=held,
    )


def _savings(world: World, held: Sequence[tuple[str, int]]) -> list[tuple[int, str]]:
    """What each coupon that holds takes off a cart, the best first."""
    lines: list[tuple[Any, ...]] = []
    for sku, count in held:
        product = world.product(sku)
        lines.append((sku, product.name, product.department, product.price, count, product.stock))
    database = Database(image(world.name))
    found = [(saving(database, coupon.code, lines), coupon.code) for coupon in world.coupons]
    database.close()
    return sorted(((off, code) for off, code in found if isinstance(off, int)), reverse=True)


def _conditions(target: Product) -> list[tuple[str, Test]]:
    """What can be said of an article, and who else it is true of."""
    most = -(-target.price // 1000) * 1000
    least = int(target.stars * 2) / 2
    found: list[tuple[str, Test]] = [
        (f"costs at most {money(most)}", lambda p: p.price <= most),
        (f"is rated {least:g} or better", lambda p: p.stars >= least),
        (f"has a warranty of at least {target.warranty} months", lambda p: p.warranty >= target.warranty),
        (f"weighs no more than {target.weight_g} g", lambda p: p.weight_g <= target.weight_g),
    ]
    for name, value in target.features:
        found.append((f"has the {name} {value}", lambda p, pair=(name, value): pair in p.features))  # type: ignore[misc]
    return found


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _customer(rng: Random, world: World) -> int:
    return rng.randint(1, len(world.customers))
