"""What the compact rendering calls the things of a shop: one word each, the same words in every world.

Articles are `a1` to `a60` and sorts of articles `k1` to `k12`, by their places in the world; past orders are
`o1` ..., the newest first, and an order of this episode is `new`. Leaves out what is said with these words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from trace_gym_envs.shop.database import Database
from trace_gym_envs.shop.desk import MOST
from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.facts import fresh_orders
from trace_gym_envs.shop.kinds.afterwards import TEXTS, TITLES
from trace_gym_envs.shop.pages.orders import REASONS, REFUNDS
from trace_gym_envs.shop.past import LABELS, Customer
from trace_gym_envs.shop.rules import METHODS
from trace_gym_envs.shop.stocking import FIRST_ADDRESS
from trace_gym_envs.shop.world import DEPARTMENTS_EACH, MAKES_EACH, NOUNS_EACH, World, world

PLACES: Final = tuple(label.split()[0].lower() for label in LABELS)
CARDS: Final = ("c1", "c2")
TITLE_WORDS: Final = tuple(f"t{number}" for number in range(1, len(TITLES) + 1))
TEXT_WORDS: Final = tuple(f"x{number}" for number in range(1, len(TEXTS) + 1))
NEW: Final = "new"
ORDERS: Final = 9
STATES: Final = ("placed", "shipped", "delivered", "cancelled")

WORDS: Final[tuple[str, ...]] = (
    *(str(number) for number in range(MOST + 1)),
    *(f"a{number}" for number in range(1, DEPARTMENTS_EACH * NOUNS_EACH * MAKES_EACH + 1)),
    *(f"k{number}" for number in range(1, DEPARTMENTS_EACH * NOUNS_EACH + 1)),
    *(f"o{number}" for number in range(1, ORDERS + 1)),
    *(NEW, *STATES, *PLACES, *METHODS, *CARDS, *REASONS, *REFUNDS, *TITLE_WORDS, *TEXT_WORDS),
)
"""Every word for a thing, a number, a state or a choice."""


class Symbols:
    """The words for the shop of one errand, and back. Immutable."""

    def __init__(self, errand: Errand) -> None:
        self._world: World = world(errand.world)
        self._customer: int = errand.customer

    @cached_property
    def _articles(self) -> Sequence[str]:
        return [product.sku for product in self._world.products]

    @property
    def _owner(self) -> Customer:
        return self._world.customers[self._customer - 1]

    def article(self, sku: str) -> str:
        """The word for an item number."""
        return f"a{self._articles.index(sku) + 1}"

    def sku(self, word: str) -> str | None:
        """The item number that a word stands for; None if it stands for none."""
        return _at(self._articles, word, "a")

    def sort(self, sku: str) -> str:
        """The word for the sort of an article."""
        return f"k{self._articles.index(sku) // MAKES_EACH + 1}"

    def order(self, number: str) -> str:
        """The word for an order's number."""
        past = [order.number for order in self._owner.orders]
        return f"o{past.index(number) + 1}" if number in past else NEW

    def number(self, word: str, database: Database) -> str | None:
        """The number of the order that a word stands for; `new` is the oldest of this episode that stands."""
        if word == NEW:
            fresh = fresh_orders(database, self._customer)
            return fresh[0] if fresh else None
        return _at([order.number for order in self._owner.orders], word, "o")

    def place(self, line: str) -> str:
        """The word for an address of the customer, given in one line."""
        return PLACES[[address.line for address in self._owner.addresses].index(line)]

    def address_id(self, word: str) -> str:
        """The key of an address by its word."""
        return str(FIRST_ADDRESS * self._customer + 1 + PLACES.index(word))

    def card(self, last4: str) -> str:
        """The word for a card, given by its last digits."""
        return CARDS[[card.last4 for card in self._owner.cards].index(last4)]

    def card_id(self, word: str) -> str:
        """The key of a card by its word."""
        return str(FIRST_ADDRESS * self._customer + 1 + CARDS.index(word))

    def named(self, text: str) -> list[str]:
        """The item numbers of all articles that a text names, in its order."""
        found = [(text.find(p.name), p.sku) for p in self._world.products if p.name in text]
        return [sku for _, sku in sorted(found)]


def _at(things: Sequence[str], word: str, letter: str) -> str | None:
    """The thing whose place a word says, such as `a7`; None if there is none."""
    digits = word.removeprefix(letter)
    if digits == word or not (digits.isascii() and digits.isdigit()) or str(int(digits)) != digits:
        return None
    return things[int(digits) - 1] if 1 <= int(digits) <= len(things) else None
