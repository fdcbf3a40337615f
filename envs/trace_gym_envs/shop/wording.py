"""What the compact rendering says: an errand and the page that is open, in words of the closed vocabulary.

Pure functions of the errand, its symbols and the shop's database. Leaves out what can be done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trace_gym_envs.shop.database import Database
from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.kinds.afterwards import TEXTS, TITLES
from trace_gym_envs.shop.symbols import NEW, TEXT_WORDS, TITLE_WORDS, Symbols

FRONT, CART, ITEM, ORDERS, CHECKOUT = "front", "cart", "item", "orders", "checkout"
BACK, REVIEW, RATE, BUY, SET, DROP, ADD = "back", "review", "rate", "buy", "set", "drop", "add"
OR, SHORT, STOP = "or", "short", ";"

Wants = Mapping[str, str | None]


def asked(errand: Errand, symbols: Symbols) -> list[str]:
    """The errand in words."""
    wants = {goal.key: goal.want for goal in errand.goals}
    match errand.kind:
        case "cart":
            return [CART, *_of_cart(errand, symbols, wants)]
        case "return":
            ((key, want),) = wants.items()
            _, number, sku = key.split("/")
            return [BACK, symbols.order(number), symbols.article(sku), *str(want).split()]
        case "review":
            return [RATE, *_of_review(errand, symbols, wants)]
        case _:
            place, card = wants["new/1/destination"] or "", wants["new/1/card"] or ""
            how = [symbols.place(place), wants["new/1/method"] or "", symbols.card(card)]
            return [BUY, *_of_goods(errand, symbols, wants["new/1/goods"] or ""), *how]


def _of_cart(errand: Errand, symbols: Symbols, wants: Wants) -> Iterator[str]:
    had = {sku for sku, _ in errand.cart}
    for key, want in wants.items():
        sku = key.removeprefix("cart/")
        yield from (DROP if want is None else SET if sku in had else ADD, symbols.article(sku))
        if want is not None:
            yield want


def _of_review(errand: Errand, symbols: Symbols, wants: Wants) -> Iterator[str]:
    """The article, or the order and its sort where the request names no article."""
    ((key, want),) = wants.items()
    sku, order = key.removeprefix("review/"), errand.watch[0].removeprefix("/orders/")
    stars, title, text = str(want).split(" | ", 2)
    by_order = order in errand.text
    yield from (symbols.order(order), symbols.sort(sku)) if by_order else (symbols.article(sku),)
    yield from (stars, TITLE_WORDS[TITLES.index(title)], TEXT_WORDS[TEXTS.index(text)])


def _of_goods(errand: Errand, symbols: Symbols, goods: str) -> Iterator[str]:
    """What is to be bought; where it is one of two, both, the one to be preferred first."""
    counts = dict((sku, count) for count, sku in (line.split(" x ") for line in goods.split(", ")))
    named = symbols.named(errand.text)
    for place, sku in enumerate(named):
        yield from [OR] * (place > 0 and len(counts) < len(named))
        yield from (symbols.article(sku), counts.get(sku) or next(iter(counts.values())))


def told(path: str, database: Database, symbols: Symbols, *, customer: int) -> str:
    """The page at a path, in words; read from the database."""
    match path.split("/")[1:]:
        case ["cart"]:
            return " ".join([CART, *_cart(database, symbols, customer)])
        case ["p", sku]:
            return f"{ITEM} {symbols.article(sku)}"
        case ["p", sku, "review"]:
            return f"{REVIEW} {symbols.article(sku)}"
        case ["orders"]:
            return ORDERS
        case ["orders", number]:
            return " ".join([symbols.order(number), *_order(database, symbols, number)])
        case ["orders", _, "return", sku]:
            return f"{BACK} {symbols.article(sku)}"
        case ["checkout"]:
            return CHECKOUT
        case _:
            return FRONT


def _cart(database: Database, symbols: Symbols, customer: int) -> Iterator[str]:
    sql = (
        "select c.sku, c.quantity, p.stock from cart c join products p on p.sku = c.sku "
        "where c.customer = ? order by p.name"
    )
    for sku, count, stock in database.rows(sql, customer):
        yield from (symbols.article(sku), str(count), *[SHORT] * (count > stock), STOP)


def _order(database: Database, symbols: Symbols, number: str) -> Iterator[str]:
    """State and articles, each with its sort; of a new order also where it goes, how, and who pays."""
    row = database.row("select status, destination, method, card from orders where number = ?", number)
    assert row is not None
    yield row[0]
    sql = (
        "select l.sku, l.quantity, r.quantity from lines l join products p on p.sku = l.sku "
        "left join returns r on r.number = l.number and r.sku = l.sku where l.number = ? order by p.name"
    )
    for sku, count, sent in database.rows(sql, number):
        then = [BACK] * (sent is not None)
        yield from (symbols.sort(sku), symbols.article(sku), str(count), *then, STOP)
    if symbols.order(number) == NEW:
        yield from (symbols.place(row[1]), row[2], symbols.card(row[3]))
