"""The rules of a shop: what customers may do and until when, numbered differently in every world.

Leaves out whether anybody keeps them: the shop takes every request, and looks at it later.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the help pages print it: `code` such as R4, the `topic` it stands under. `days` and
    `department` are what it turns on; days 0 means that it turns on the order's state."""

    code: str
    topic: str
    kind: str
    text: str
    days: int = 0
    department: str = ""


TOPICS: Final = {
    "returns": "Sending goods back",
    "orders": "Changing orders",
    "delivery": "Delivery",
    "terms": "Terms",
}

METHODS: Final = {"standard": 490, "express": 1290, "collect": 0}
"""Ways of delivery and what they cost, in cents."""


def draw_rules(rng: Random, excluded: str) -> tuple[Rule, ...]:
    """The rules of a world whose goods of the department `excluded` cannot be sent back."""
    numbers = rng.sample(range(1, 40), 9)
    window, cancel, move = rng.choice((14, 21, 30, 45)), rng.choice((0, 1, 2, 3)), rng.choice((0, 1, 2, 3))
    written = (
        ("returns", "window", f"Goods can be sent back up to {window} days after delivery.", window, ""),
        ("returns", "excluded", f"Goods of the department {excluded} cannot be sent back.", 0, excluded),
        ("orders", "cancel", f"An order can be cancelled {_until(cancel)}", cancel, ""),
        ("orders", "move", f"The delivery address of an order can be changed {_until(move)}", move, ""),
        ("delivery", "express", "Express parcels come the next working day, others within five.", 0, ""),
        ("delivery", "collect", "Parcels to be collected wait in the shop for ten days.", 0, ""),
        (
            "terms",
            "coupon",
            "One coupon an order; what it takes off never exceeds the goods it is for.",
            0,
            "",
        ),
        ("terms", "review", "Only customers who bought an article may review it, once each.", 0, ""),
        ("terms", "warranty", "The warranty of an article begins with its delivery.", 0, ""),
    )
    return tuple(
        Rule(f"R{number}", topic, kind, text, days, department)
        for number, (topic, kind, text, days, department) in zip(numbers, written, strict=True)
    )


def _until(days: int) -> str:
    if not days:
        return "until it is shipped, not after that."
    plural = "day" if days == 1 else "days"
    return f"up to {days} {plural} after it was placed and before it is delivered, even if it is shipped."


def may_change(rule: Rule, *, placed: int, status: str, today: int) -> bool:
    """Does a rule of kind `cancel` or `move` allow it for an order placed on a day?"""
    if status not in ("placed", "shipped"):
        return False
    return today - placed <= rule.days if rule.days else status == "placed"


def may_return(
    window: Rule, excluded: Rule, *, department: str, delivered: int | None, today: int
) -> Rule | None:
    """The rule that forbids sending an article back; None: none does. Goods not yet delivered count as
    forbidden by the window."""
    if department == excluded.department:
        return excluded
    return None if delivered is not None and today - delivered <= window.days else window
