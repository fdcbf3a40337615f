"""A world written into a database: the image that its episodes begin from."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from trace_gym_envs.shop.past import Customer
from trace_gym_envs.shop.rules import METHODS
from trace_gym_envs.shop.world import KEPT, Product, World, world

FIRST_ADDRESS: Final = 10
"""Address ids of customer 1 are 11, 12, ...; those of customer 2 are 21, 22, ...; so are cards'."""


@lru_cache(maxsize=KEPT)
def image(name: str) -> bytes:
    """The database of a world before anybody comes."""
    made = world(name)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as open_one:
        open_one.execute("pragma page_size = 1024")
        open_one.executescript(files(__package__).joinpath("schema.sql").read_text("utf-8"))
        open_one.execute("begin")
        for table, row in _rows(made):
            open_one.execute(f"insert into {table} values ({', '.join('?' * len(row))})", row)
        open_one.execute("commit")
        return open_one.serialize()


def token(customer: int) -> str:
    """The session by which a customer's browser is known."""
    return f"session-{customer}"


def _rows(made: World) -> Iterator[tuple[str, tuple[Any, ...]]]:
    yield "shop", (made.shop, made.today)
    for product in made.products:
        yield from _product(product)
    for coupon in made.coupons:
        limits = (coupon.department, coupon.minimum, coupon.expires)
        yield "coupons", (coupon.code, coupon.percent, coupon.amount, *limits)
    for rule in made.rules:
        yield "rules", (rule.code, rule.topic, rule.text)
    for number, customer in enumerate(made.customers, start=1):
        yield from _customer(made, number, customer)


def _product(product: Product) -> Iterator[tuple[str, tuple[Any, ...]]]:
    kinds = (product.department, product.noun, product.shape)
    values = (product.price, product.stock, product.weight_g, product.warranty)
    stars = sum(review.stars for review in product.reviews)
    words = " ".join([product.name, product.department, *(value for _, value in product.features)]).lower()
    row = (product.sku, product.name, product.brand, *kinds, *values, stars, len(product.reviews), words)
    yield "products", row
    for name, value in product.features:
        yield "features", (product.sku, name, value)
    for review in product.reviews:
        said = (review.author, review.stars, review.title, review.text, review.day)
        yield "reviews", (None, product.sku, None, *said)


def _customer(made: World, number: int, customer: Customer) -> Iterator[tuple[str, tuple[Any, ...]]]:
    first = FIRST_ADDRESS * number + 1
    contact = (customer.email, customer.phone, int(customer.newsletter), customer.language)
    yield "customers", (number, customer.name, *contact, first, first, "")
    yield "sessions", (token(number), number, "")
    for place, address in enumerate(customer.addresses):
        where = (address.label, address.name, address.street, address.postcode, address.town)
        yield "addresses", (first + place, number, *where)
    for place, card in enumerate(customer.cards):
        yield "cards", (first + place, number, card.brand, card.last4)
    for order in customer.orders:
        goods = sum(made.product(sku).price * count for sku, count in order.lines)
        delivery = METHODS[order.method]
        address, card = customer.addresses[order.address], customer.cards[order.card]
        state = (order.day, order.status, order.delivered, address.line, card.last4, order.method)
        sums = ("", goods, 0, delivery, goods + delivery, 0)
        yield "orders", (order.number, number, *state, *sums)
        for sku, count in order.lines:
            yield "lines", (order.number, sku, count, made.product(sku).price)
