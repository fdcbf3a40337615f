"""What is said in the shop: its rules, and customers' reviews."""

from __future__ import annotations

from trace_gym_envs.shop.desk import Desk, Reply
from trace_gym_envs.shop.pages.frame import e, field, framed, missing, picked, refused
from trace_gym_envs.shop.rules import TOPICS


def topics(desk: Desk) -> Reply:
    """What the rules are about."""
    listed = "".join(f'<li><a href="/help/{key}">{e(text)}</a></li>' for key, text in TOPICS.items())
    main = f'<h1>Help</h1><p>The rules of this shop, by topic.</p><ul class="plain">{listed}</ul>'
    return framed(desk, "Help", main)


def topic(desk: Desk, name: str) -> Reply:
    """The rules of a topic, with their numbers."""
    if name not in TOPICS:
        return missing(desk)
    rows = desk.database.rows("select code, text from rules where topic = ? order by code", name)
    listed = "".join(f"<li><strong>{e(code)}</strong> {e(text)}</li>" for code, text in rows)
    main = f'<h1>{e(TOPICS[name])}</h1><ul class="plain">{listed}</ul><p><a href="/help">All topics</a></p>'
    return framed(desk, TOPICS[name], main)


def ask_review(desk: Desk, sku: str) -> Reply:
    """The form for a review, filled in if there is one already."""
    name = desk.database.value("select name from products where sku = ?", sku)
    if name is None:
        return missing(desk)
    if not _bought(desk, sku):
        return refused(desk, f"/p/{sku}", "Only customers who bought it may review it.")
    row = desk.database.row(
        "select stars, title, text from reviews where sku = ? and customer = ?", sku, desk.customer
    )
    given, title, text = row or (5, "", "")
    options = [(str(count), f"{count} of 5") for count in range(5, 0, -1)]
    main = (
        f"<h1>Your review</h1><p>{e(name)}</p>"
        '<form class="sheet" method="post" '
        f'action="/p/{sku}/review">{picked("stars", "Stars", options, str(given))}'
        f"{field('title', 'Title', title)}{field('text', 'Text', text)}<button>Publish</button></form>"
    )
    return framed(desk, "Your review", main)


def put_review(desk: Desk, sku: str) -> Reply:
    """Publish a review, in place of an earlier one by the same customer."""
    name = desk.database.value("select name from products where sku = ?", sku)
    if name is None or not _bought(desk, sku):
        return missing(desk)
    given, title, text = desk.count("stars"), desk.sent("title"), desk.sent("text")
    if given not in (1, 2, 3, 4, 5) or not title or not text:
        return refused(desk, f"/p/{sku}/review", "Give stars from 1 to 5, a title and a text.")
    database, author = (
        desk.database,
        desk.database.value("select name from customers where id = ?", desk.customer),
    )
    database.change("delete from reviews where sku = ? and customer = ?", sku, desk.customer)
    said = (author, given, title, text, desk.today())
    database.change("insert into reviews values (null, ?, ?, ?, ?, ?, ?, ?)", sku, desk.customer, *said)
    database.change(
        "update products set (stars, ratings) = (select sum(stars), count(*) from reviews where "
        "sku = ?) where sku = ?",
        sku,
        sku,
    )
    return desk.go(f"/p/{sku}", "Thank you for your review.")


def _bought(desk: Desk, sku: str) -> bool:
    sql = "select 1 from orders o join lines l on l.number = o.number where o.customer = ? and l.sku = ?"
    return bool(desk.mine(f"{sql} and o.status != 'cancelled'", sku))
