"""Errands that ask about past orders: what they came to, when they came, which was the dearest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random

from trace_gym_envs.shop.desk import money
from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.past import Customer, Order
from trace_gym_envs.shop.rules import METHODS
from trace_gym_envs.shop.world import Product, World


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked, the page that answers it, and the answer: of which sort, and what it is."""

    text: str
    page: str
    sort: str
    gold: str


def history(rng: Random, world: World) -> Errand:
    """A question that the list of orders, or one of them, answers."""
    number = rng.randint(1, len(world.customers))
    customer = world.customers[number - 1]
    asked = rng.choice(("order", "delivery", "month", "dearest"))
    bought = _bought_once(world, customer)
    if asked in ("order", "delivery") and bought:
        question = _of_an_order(asked, world, *rng.choice(bought))
    elif asked == "dearest":
        question = _dearest(rng.choice(("delivered", "shipped", "placed")), world, customer)
    else:
        question = _of_a_month(rng.choice([_month(order) for order in customer.orders]), world, customer)
    return Errand(
        "history",
        world.name,
        number,
        question.text,
        watch=(question.page,),
        sort=question.sort,
        gold=question.gold,
    )


def _of_an_order(asked: str, world: World, order: Order, product: Product) -> _Question:
    page = f"/orders/{order.number}"
    if asked == "order":
        text = f"What did the order in which I bought the {product.name} come to in total?"
        return _Question(text, page, "amount", _amount(_total(world, order)))
    text = f"On what day was the {product.name} delivered to me? Answer like 2031-01-31."
    return _Question(text, page, "date", date.fromordinal(order.delivered or 0).isoformat())


def _of_a_month(month: str, world: World, customer: Customer) -> _Question:
    spent = sum(_total(world, order) for order in customer.orders if _month(order) == month)
    text = f"What do all orders that I placed in {month} (year and month) come to together, with the cents?"
    return _Question(text, "/orders", "amount", _amount(spent))


def _dearest(state: str, world: World, customer: Customer) -> _Question:
    """The order of a state with the highest total; where two have it, the number that comes last."""
    ranked = sorted((_total(world, each), each.number) for each in customer.orders if each.status == state)
    text = f"Which of my orders in the state {state!r} had the highest total? Answer with its number"
    last = "" if len(ranked) < 2 or ranked[-1][0] > ranked[-2][0] else "; of equal ones, the highest number"
    return _Question(f"{text}{last}.", "/orders", "order number", ranked[-1][1])


def _bought_once(world: World, customer: Customer) -> list[tuple[Order, Product]]:
    """Delivered orders, each with an article that is in no other."""
    bought = [sku for order in customer.orders for sku, _ in order.lines]
    return [
        (order, world.product(sku))
        for order in customer.orders
        for sku, _ in order.lines
        if order.status == "delivered" and bought.count(sku) == 1
    ]


def _total(world: World, order: Order) -> int:
    return sum(world.product(sku).price * count for sku, count in order.lines) + METHODS[order.method]


def _amount(cents: int) -> str:
    return money(cents).removeprefix("$")


def _month(order: Order) -> str:
    return date.fromordinal(order.day).isoformat()[:7]
