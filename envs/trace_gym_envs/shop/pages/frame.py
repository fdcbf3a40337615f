"""What is around every page: head, navigation, search, notice, foot; and the small parts that pages share.

Text from the database goes through `e` everywhere: customers write into it.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape as e
from typing import Final

from trace_gym_envs.shop.desk import Desk, Reply

__all__ = ["e", "field", "framed", "missing", "picked", "refused", "stars"]

_MARK: Final = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 9h16l-1.5 11h-13z"/>'
    '<path d="M8.5 9a3.5 3.5 0 0 1 7 0"/></svg>'
)


def framed(desk: Desk, title: str, main: str, *, status: int = 200, wide: bool = False) -> Reply:
    """A whole page; `title` is plain text, `main` markup."""
    shop = desk.database.remembered("shop", lambda: desk.database.value("select name from shop"))
    count = desk.database.value("select sum(quantity) from cart where customer = ?", desk.customer) or 0
    notice = desk.heard()
    said = f'<p class="notice" role="status">{e(notice)}</p>' if notice else ""
    asked = e(desk.query.get("q", "")) if desk.path == "/search" else ""
    return Reply(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{e(title)} - '
        f"{e(shop)}</title>"
        f'<link rel="stylesheet" href="/style.css"></head><body>'
        f'<header><a class="brand" href="/">{_MARK}{e(shop)}</a>'
        '<form class="find" action="/search" role="search"><input name="q" type="search" '
        'aria-label="Search" '
        f'placeholder="Search the shop" value="{asked}"><button>Search</button></form>'
        '<nav aria-label="Shop"><a href="/offers">Offers</a><a href="/help">Help</a><a '
        'href="/orders">Orders</a>'
        f'<a href="/account">Account</a><a class="cart" href="/cart">Cart ({count})</a></nav></header>'
        f"<main{' class=wide' if wide else ''}>{said}{main}</main>"
        f"<footer>{e(shop)}. Prices include tax.</footer></body></html>",
        status,
    )


def missing(desk: Desk) -> Reply:
    """There is no such page."""
    return framed(
        desk, "Not found", "<h1>Not found</h1><p>There is no such page in this shop.</p>", status=404
    )


def refused(desk: Desk, path: str, why: str) -> Reply:
    """Back to the form that was filled in wrongly, which says why."""
    return desk.go(path, why)


def field(name: str, label: str, value: str = "", *, numeric: bool = False) -> str:
    """A labelled input. The shop checks numbers, not the browser, whose complaints nobody could read."""
    mode = ' inputmode="numeric"' if numeric else ""
    box = f'<input id="{name}" name="{name}"{mode} value="{e(value)}">'
    return f'<p class="field"><label for="{name}">{e(label)}</label>{box}</p>'


def picked(name: str, label: str, options: Iterable[tuple[str, str]], chosen: str = "") -> str:
    """A labelled list to choose from; `options` are values and what people read."""
    listed = "".join(
        f'<option value="{e(value)}"{" selected" if value == chosen else ""}>{e(text)}</option>'
        for value, text in options
    )
    return (
        f'<p class="field"><label for="{name}">{e(label)}</label><select id="{name}" '
        f'name="{name}">{listed}</select></p>'
    )


def stars(total: int, ratings: int) -> str:
    """The mean rating in words."""
    if not ratings:
        return "not rated"
    return f"{total / ratings:.1f} of 5 ({ratings})"
