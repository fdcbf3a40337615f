"""The customers of a world and what they have ordered: something for every rule to hold of, and not to.

Leaves out what they want now, which is the task's matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from trace_gym_envs.shop import names
from trace_gym_envs.shop.rules import METHODS, Rule

LABELS: Final = ("Home", "Work", "Holiday house")
MOST_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Address:
    """Where parcels can go; `label` is the customer's own name for it."""

    label: str
    name: str
    street: str
    postcode: str
    town: str

    @property
    def line(self) -> str:
        """The address in one line, without its label."""
        return f"{self.name}, {self.street}, {self.postcode} {self.town}"


@dataclass(frozen=True, slots=True)
class Card:
    """A way to pay: the kind of card and its last four digits."""

    brand: str
    last4: str


@dataclass(frozen=True, slots=True)
class Order:
    """A past order: its lines as item numbers and counts; `address` and `card` are places in the customer's
    lists; days are ordinals of dates."""

    number: str
    day: int
    status: str
    delivered: int | None
    lines: tuple[tuple[str, int], ...]
    address: int
    card: int
    method: str


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody with an account."""

    name: str
    email: str
    phone: str
    newsletter: bool
    language: str
    addresses: tuple[Address, ...]
    cards: tuple[Card, ...]
    orders: tuple[Order, ...]


def draw_customers(
    rng: Random, *, shelf: Sequence[tuple[str, str]], rules: Sequence[Rule], today: int, count: int
) -> tuple[Customer, ...]:
    """Customers with orders; `shelf` lists item numbers and departments."""
    numbers = iter(rng.sample(range(20_000, 90_000), 12 * count))
    found = []
    for name in names.people(rng, count):
        places = zip(LABELS, names.towns(rng, len(LABELS)), strict=True)
        addresses = tuple(
            Address(label, name, names.street(rng), postcode, town) for label, (town, postcode) in places
        )
        brands = rng.sample(("Visa", "Mastercard", "Amex"), 2)
        cards = tuple(Card(kind, f"{rng.randint(1000, 9999)}") for kind in brands)
        when = _days(rng, {rule.kind: rule.days for rule in rules}, today)
        excluded = next(rule.department for rule in rules if rule.kind == "excluded")
        orders = [_order(rng, f"N{next(numbers)}", shelf, at, excluded) for at in when]
        first, _, last = name.partition(" ")
        found.append(
            Customer(
                name=name,
                email=f"{first}.{last}@mail.example".lower(),
                phone=names.phone(rng),
                newsletter=rng.random() < 0.5,
                language=rng.choice(("English", "German", "French", "Spanish")),
                addresses=addresses,
                cards=cards,
                orders=tuple(sorted(orders, key=lambda order: (-order.day, order.number))),
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _When:
    """An order's days and state, and whether it must hold (True) or must not hold (False) excluded goods."""

    day: int
    status: str
    delivered: int | None
    excluded: bool


def _days(rng: Random, days: dict[str, int], today: int) -> list[_When]:
    """Orders on both sides of every limit."""
    window = days["window"]

    def delivered(ago: int, *, excluded: bool = False) -> _When:
        return _When(today - ago - rng.randint(2, 5), "delivered", today - ago, excluded)

    return [
        delivered(rng.randint(1, window - 2)),
        delivered(rng.randint(1, window - 2)),
        delivered(rng.randint(2, window - 2), excluded=True),
        delivered(window + rng.randint(2, 40)),
        delivered(window + rng.randint(41, 200)),
        _When(today - rng.randint(0, 1), "placed", None, False),
        _When(today - rng.randint(4, 6), "placed", None, False),
        _When(today - 1, "shipped", None, False),
        _When(today - rng.randint(4, 7), "shipped", None, False),
    ]


def _order(rng: Random, number: str, shelf: Sequence[tuple[str, str]], when: _When, excluded: str) -> Order:
    fitting = [sku for sku, department in shelf if (department == excluded) is when.excluded]
    bought = rng.sample(fitting, rng.randint(1, MOST_LINES))
    lines = tuple((sku, rng.randint(1, 3)) for sku in bought)
    return Order(
        number=number,
        day=when.day,
        status=when.status,
        delivered=when.delivered,
        lines=lines,
        address=rng.randrange(len(LABELS)),
        card=rng.randrange(2),
        method=rng.choice(list(METHODS)),
    )
