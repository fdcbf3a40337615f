"""What holds in a customer's shop, as texts by key: cart, account, orders old and new, returns, reviews.

What a task wants, and what it must leave alone, is said in these keys. Leaves out what is for show: sessions,
notices, stocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from trace_gym_envs.shop.database import Database

Facts: TypeAlias = Mapping[str, str]

ACCOUNT = ("email", "phone", "newsletter", "language", "address", "card")


def facts(database: Database, customer: int) -> Facts:
    """Everything that holds for a customer."""
    return database.remembered(f"facts {customer}", lambda: dict(_facts(database, customer)))


def fresh_orders(database: Database, customer: int) -> list[str]:
    """The numbers of the orders made in this episode that were not cancelled, the oldest first."""
    sql = (
        "select number from orders where customer = ? and fresh = 1 and status != 'cancelled' order by number"
    )
    return [number for (number,) in database.rows(sql, customer)]


def goods_of(pairs: Iterator[tuple[str, int]] | list[tuple[str, int]]) -> str:
    """Articles and pieces in one text."""
    return ", ".join(f"{count} x {sku}" for sku, count in sorted(pairs))


def _facts(database: Database, customer: int) -> Iterator[tuple[str, str]]:
    account = database.row(f"select {', '.join(ACCOUNT)}, coupon from customers where id = ?", customer)
    assert account is not None
    for name, value in zip(ACCOUNT, account, strict=False):
        yield f"account/{name}", str(value)
    yield from _addresses(database, customer)
    sql = "select number, status, destination from orders where customer = ? and fresh = 0"
    for number, status, destination in database.rows(sql, customer):
        yield f"order/{number}/status", status
        yield f"order/{number}/destination", destination
    sql = (
        "select r.number, r.sku, r.quantity, r.reason, r.refund from returns r "
        "join orders o on o.number = r.number where o.customer = ?"
    )
    for number, sku, quantity, reason, refund in database.rows(sql, customer):
        yield f"return/{number}/{sku}", f"{quantity} {reason} {refund}"
    for sku, stars, title, text in database.rows(
        "select sku, stars, title, text from reviews where customer = ?", customer
    ):
        yield f"review/{sku}", f"{stars} | {title} | {text}"
    yield from _new_orders(database, customer)
    for sku, quantity in database.rows("select sku, quantity from cart where customer = ?", customer):
        yield f"cart/{sku}", str(quantity)
    yield "coupon", account[-1]
    for (sku,) in database.rows("select sku from rivals where came = 1"):
        yield f"sold/{sku}", "yes"


def _addresses(database: Database, customer: int) -> Iterator[tuple[str, str]]:
    """Addresses by label; a second one of the same label gets a number."""
    labels: dict[str, int] = {}
    sql = "select label, name, street, postcode, town from addresses where customer = ? order by id"
    for label, *parts in database.rows(sql, customer):
        labels[label] = labels.get(label, 0) + 1
        again = f" ({labels[label]})" if labels[label] > 1 else ""
        yield f"address/{label}{again}", " | ".join(parts)


def _new_orders(database: Database, customer: int) -> Iterator[tuple[str, str]]:
    for rank, number in enumerate(fresh_orders(database, customer), start=1):
        row = database.row("select destination, method, card, coupon from orders where number = ?", number)
        lines = database.rows("select sku, quantity from lines where number = ?", number)
        yield f"new/{rank}/goods", goods_of(lines)
        for name, value in zip(("destination", "method", "card", "coupon"), row or (), strict=True):
            yield f"new/{rank}/{name}", value
