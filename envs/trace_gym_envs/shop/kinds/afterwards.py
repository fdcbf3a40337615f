"""Errands about what was bought: send it back, review it."""

from __future__ import annotations

from random import Random

from trace_gym_envs.shop.errand import Errand, Goal
from trace_gym_envs.shop.pages.orders import REASONS, REFUNDS
from trace_gym_envs.shop.past import Customer
from trace_gym_envs.shop.rules import may_return
from trace_gym_envs.shop.world import World

WHY = {
    "damaged": "it came damaged",
    "wrong": "it is the wrong article",
    "unlike": "it is not as described",
    "mind": "I changed my mind",
}
TITLES = ("Does what it should", "Three weeks in", "As a present", "Second one already", "My honest view")
TEXTS = (
    "It does its work and looks good.",
    "The handle could be better.",
    "Everybody asks where it is from.",
    "It was smaller than I thought.",
    "Not a scratch after a month.",
)


def send_back(rng: Random, world: World) -> Errand:
    """Send pieces of an article back, for a reason, refunded in a way; the rules allow it."""
    number, customer = _somebody(rng, world)
    window, excluded = world.rule("window"), world.rule("excluded")
    fitting = [
        (order, sku, count)
        for order in customer.orders
        for sku, count in order.lines
        if order.status == "delivered"
        and not may_return(
            window,
            excluded,
            department=world.product(sku).department,
            delivered=order.delivered,
            today=world.today,
        )
    ]
    order, sku, count = rng.choice(fitting)
    product, back = world.product(sku), rng.randint(1, count)
    reason, refund = rng.choice(list(REASONS)), rng.choice(list(REFUNDS))
    paid = "back to my card" if refund == "card" else "as store credit"
    pieces = "piece" if back == 1 else "pieces"
    asks = (
        f"Send back {back} {pieces} of the {product.name} from my order {order.number}: {WHY[reason]}. "
        f"I want the money {paid}.",
        f"From order {order.number} I want to return {back} {pieces} of the {product.name}, "
        f"because {WHY[reason]}. "
        f"Refund {paid}.",
    )
    return Errand(
        "return",
        world.name,
        number,
        rng.choice(asks),
        goals=(Goal("returned", f"return/{order.number}/{sku}", f"{back} {reason} {refund}"),),
        watch=(f"/orders/{order.number}",),
    )


def review(rng: Random, world: World) -> Errand:
    """Review something that was bought."""
    number, customer = _somebody(rng, world)
    order = rng.choice([order for order in customer.orders if order.status == "delivered"])
    product = world.product(rng.choice(order.lines)[0])
    stars, title, text = rng.randint(1, 5), rng.choice(TITLES), rng.choice(TEXTS)
    one = [world.product(sku) for sku, _ in order.lines if world.product(sku).noun == product.noun]
    named = f"{product.noun} from my order {order.number}" if len(one) == 1 else product.name
    plural = "star" if stars == 1 else "stars"
    asks = (
        f'Review the {named}: {stars} {plural}, title "{title}", text "{text}"',
        f'Write a review of the {named} for me. {stars} {plural}; the title is "{title}", the '
        f'text is "{text}"',
    )
    return Errand(
        "review",
        world.name,
        number,
        rng.choice(asks),
        goals=(Goal("review", f"review/{product.sku}", f"{stars} | {title} | {text}"),),
        watch=(f"/orders/{order.number}", f"/p/{product.sku}"),
    )


def _somebody(rng: Random, world: World) -> tuple[int, Customer]:
    number = rng.randint(1, len(world.customers))
    return number, world.customers[number - 1]
