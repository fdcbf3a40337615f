"""Pages of goods: the front, search, an article, its picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from trace_gym_envs.shop.desk import Desk, Reply, day, money
from trace_gym_envs.shop.goods import COLOURS
from trace_gym_envs.shop.pages.frame import e, framed, missing, picked, stars
from trace_gym_envs.shop.pages.picture import drawn

PAGE: Final = 8
RECENT: Final = 3
SORTS: Final = {
    "name": ("Name", "name"),
    "cheap": ("Price, lowest first", "price, name"),
    "dear": ("Price, highest first", "price desc, name"),
    "rated": ("Rating, best first", "1.0 * stars / ratings desc, name"),
}
_CARD: Final = "select sku, name, price, stars, ratings from products"


def front(desk: Desk) -> Reply:
    """The departments, some goods, and what was looked at lately."""
    ways = desk.database.rows(
        "select department, group_concat(distinct noun) from products group by department"
    )
    departments = "".join(
        f'<li><a href="/search?department={e(quote_plus(name))}">{e(name)}</a>'
        f"<span>{e(nouns.replace(',', ', '))}</span></li>"
        for name, nouns in ways
    )
    loved = desk.database.rows(f"{_CARD} where stars >= 4 * ratings order by price desc limit 4")
    main = f'<h1>Welcome</h1><h2>Departments</h2><ul class="ways">{departments}</ul>'
    main += f"<h2>Well liked</h2>{_cards(loved)}"
    if desk.recent:
        main += f"<h2>Seen lately</h2>{_cards(_named(desk, desk.recent))}"
    return framed(desk, "Welcome", main, wide=True)


def search(desk: Desk) -> Reply:
    """Goods that hold all words, of a department, up to a price, in an order, eight at a time."""
    asked = desk.query.get("q", "")[:100]
    department, sort = desk.query.get("department", ""), desk.query.get("sort", "name")
    most, page = desk.query.get("max", ""), desk.query.get("page", "1")
    words = asked.lower().split()[:8]
    tests, values = ["instr(words, ?) > 0"] * len(words), list[Any](words)
    if department:
        tests.append("department = ?")
        values.append(department)
    if most.isascii() and most.isdigit() and len(most) < 9:
        tests.append("price <= ?")
        values.append(int(most) * 100)
    where = " where " + " and ".join(tests) if tests else ""
    order = SORTS.get(sort, SORTS["name"])[1]
    found = desk.database.rows(f"{_CARD}{where} order by {order}", *values)
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 4 else 1
    number = min(max(1, number), max(1, -(-len(found) // PAGE)))
    here = found[(number - 1) * PAGE : number * PAGE]
    heading = f'Results for "{asked}"' if asked else department or "All goods"
    main = f"<h1>{e(heading)}</h1>{_filters(desk, asked, department, most, sort)}"
    main += f'<p class="count">{len(found)} found, page {number} of {max(1, -(-len(found) // PAGE))}</p>'
    main += _cards(here) if here else "<p>Nothing fits. Try fewer words.</p>"
    main += _pager(desk, number, -(-len(found) // PAGE))
    return framed(desk, heading, main, wide=True)


def product(desk: Desk, sku: str) -> Reply:
    """An article with everything that is known of it."""
    row = desk.database.row(
        "select name, brand, department, price, stock, weight_g, warranty, stars, ratings from "
        "products where sku = ?",
        sku,
    )
    if row is None:
        return missing(desk)
    name, brand, department, price, stock, weight, warranty, total, ratings = row
    features = desk.database.rows("select name, value from features where sku = ? order by name", sku)
    facts = [
        ("Item number", sku),
        ("Brand", brand),
        ("Department", department),
        *((label.capitalize(), value) for label, value in features),
        ("Weight", f"{weight} g"),
        ("Warranty", f"{warranty} months"),
    ]
    table = "".join(f"<tr><th>{e(label)}</th><td>{e(value)}</td></tr>" for label, value in facts)
    there = f"{stock} in stock" if stock else "Sold out"
    main = (
        f'<div class="product"><img class="picture" src="/picture/{sku}.svg" alt="" role="presentation">'
        f"<div><h1>{e(name)}</h1>"
        f'<p><strong class="price">{money(price)}</strong> <span '
        f'class="stars">{stars(total, ratings)}</span> '
        f'<span class="stock">{there}</span></p>'
        f'<form class="buy" method="post" action="/cart/add/{sku}"><label for="quantity">Quantity</label>'
        '<input id="quantity" name="quantity" inputmode="numeric" value="1">'
        f"<button>Add to cart</button></form><table>{table}</table></div></div>"
        f'<section><h2>Reviews</h2><p><a href="/p/{sku}/review">Write a review</a>'
        f"</p>{_reviews(desk, sku)}</section>"
    )
    reply = framed(desk, name, main, wide=True)
    recent = (sku, *(other for other in desk.recent if other != sku))[:RECENT]
    return Reply(reply.body, cookies={"recent": ".".join(recent)})


def picture(desk: Desk, sku: str) -> Reply:
    """An article drawn in its colour."""
    row = desk.database.row(
        "select shape, (select value from features f where f.sku = p.sku and f.name = 'colour') "
        "from products p where sku = ?",
        sku,
    )
    if row is None:
        return missing(desk)
    return Reply(drawn(row[0], COLOURS.get(row[1], "#888888")), kind="image/svg+xml")


def _named(desk: Desk, skus: Iterable[str]) -> list[tuple[Any, ...]]:
    found = (desk.database.row(f"{_CARD} where sku = ?", sku) for sku in skus)
    return [row for row in found if row is not None]


def _cards(rows: Iterable[tuple[Any, ...]]) -> str:
    listed = "".join(
        f'<li><a href="/p/{sku}"><img src="/picture/{sku}.svg" alt="" role="presentation">{e(name)}</a>'
        f'<span class="price">{money(price)}</span><span class="stars">{stars(total, ratings)}</span></li>'
        for sku, name, price, total, ratings in rows
    )
    return f'<ul class="cards">{listed}</ul>'


def _filters(desk: Desk, asked: str, department: str, most: str, sort: str) -> str:
    departments = desk.database.rows("select distinct department from products order by department")
    options = [("", "All"), *((name, name) for (name,) in departments)]
    return (
        f'<form class="filters" action="/search"><p class="field"><label for="words">Words</label>'
        f'<input id="words" name="q" value="{e(asked)}">'
        f"</p>{picked('department', 'Department', options, department)}"
        '<p class="field"><label for="max">Price up to</label><input id="max" name="max" '
        f'inputmode="numeric" value="{e(most[:9])}"></p>'
        f"{picked('sort', 'Sort', [(key, text) for key, (text, _) in SORTS.items()], sort)}"
        "<button>Show</button></form>"
    )


def _pager(desk: Desk, number: int, pages: int) -> str:
    """Links to the neighbouring pages of the same search."""
    kept = {
        name: desk.query[name][:100] for name in ("q", "department", "max", "sort") if desk.query.get(name)
    }
    turns = [("Previous", number - 1)] * (number > 1) + [("Next", number + 1)] * (number < pages)
    links = "".join(
        f'<a href="/search?{e(urlencode({**kept, "page": target}))}">{text} page</a>'
        for text, target in turns
    )
    return f'<p class="pager">{links}</p>' if links else ""


def _reviews(desk: Desk, sku: str) -> str:
    rows = desk.database.rows(
        "select author, stars, title, text, day from reviews where sku = ? order by day desc, id", sku
    )
    listed = "".join(
        f'<li><strong>{e(title)}</strong> <span class="stars">{given} of 5</span><p>{e(text)}</p>'
        f"<small>{e(author)}, {day(when)}</small></li>"
        for author, given, title, text, when in rows
    )
    return f'<ul class="reviews">{listed}</ul>' if rows else "<p>Nobody has reviewed it yet.</p>"
