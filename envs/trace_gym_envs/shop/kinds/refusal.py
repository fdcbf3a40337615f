"""Errands that the rules may forbid. The shop takes every request; whoever shops must look the rules up.

In half of them nothing forbids it and it has to be done; in the others it must not be, and the answer names
the rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from trace_gym_envs.shop.errand import Errand, Goal
from trace_gym_envs.shop.past import Customer
from trace_gym_envs.shop.rules import Rule, may_change, may_return
from trace_gym_envs.shop.world import World

_CLOSING = (
    " Go by the rules under Help: if one forbids it, change nothing and answer with that rule's number; else "
    "do it, and name no rule."
)


@dataclass(frozen=True, slots=True)
class _Case:
    """Something that could be asked for: in words, as a fact, and the rule that forbids it, if one does."""

    sort: str
    text: str
    goal: Goal
    order: str
    topic: str
    rule: Rule | None


def refusal(rng: Random, world: World) -> Errand:
    """Send back, cancel or redirect, if the rules allow it."""
    number = rng.randint(1, len(world.customers))
    cases = list(_cases(rng, world, world.customers[number - 1]))
    forbidden = rng.random() < 0.5
    cases = [case for case in cases if (case.rule is not None) is forbidden] or cases
    sort = rng.choice(sorted({case.sort for case in cases}))
    case = rng.choice([case for case in cases if case.sort == sort])
    return Errand(
        "refusal",
        world.name,
        number,
        case.text + _CLOSING,
        goals=() if case.rule else (case.goal,),
        watch=(f"/help/{case.topic}", f"/orders/{case.order}"),
        sort="rule",
        gold=case.rule.code if case.rule else "",
    )


def _cases(rng: Random, world: World, customer: Customer) -> Iterator[_Case]:
    cancel, move = world.rule("cancel"), world.rule("move")
    for order in customer.orders:
        if order.status == "delivered":
            yield from _returns(rng, world, customer, order.number)
            continue
        allowed = may_change(cancel, placed=order.day, status=order.status, today=world.today)
        goal = Goal("cancelled", f"order/{order.number}/status", "cancelled")
        text = f"Cancel my order {order.number}."
        yield _Case("cancel", text, goal, order.number, "orders", None if allowed else cancel)
        allowed = may_change(move, placed=order.day, status=order.status, today=world.today)
        others = [each for each in customer.addresses if each != customer.addresses[order.address]]
        target = rng.choice(others)
        goal = Goal("redirected", f"order/{order.number}/destination", target.line)
        text = f"Have my order {order.number} sent to my address {target.label!r} instead."
        yield _Case("redirect", text, goal, order.number, "orders", None if allowed else move)


def _returns(rng: Random, world: World, customer: Customer, number: str) -> Iterator[_Case]:
    order = next(each for each in customer.orders if each.number == number)
    window, excluded = world.rule("window"), world.rule("excluded")
    for sku, _ in order.lines:
        product = world.product(sku)
        rule = may_return(
            window, excluded, department=product.department, delivered=order.delivered, today=world.today
        )
        late = order.delivered is None or world.today - order.delivered > window.days
        if rule is excluded and late:
            continue  # both rules forbid it, so the answer would not be one
        refund = rng.choice(("card", "credit"))
        paid = "back to my card" if refund == "card" else "as store credit"
        text = (
            f"Send back one {product.name} from my order {number}, because I changed my mind; the "
            f"money {paid}."
        )
        goal = Goal("returned", f"return/{number}/{sku}", f"1 mind {refund}")
        yield _Case("return" if rule is not excluded else "excluded", text, goal, number, "returns", rule)
