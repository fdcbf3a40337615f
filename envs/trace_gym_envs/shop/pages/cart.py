"""The cart, its coupon, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trace_gym_envs.shop.database import Database
from trace_gym_envs.shop.desk import MOST, Desk, Reply, day, money
from trace_gym_envs.shop.pages.frame import e, framed, missing, refused


@dataclass(frozen=True, slots=True)
class Sums:
    """What a cart comes to, in cents: its `goods`, and the `discount` on them."""

    goods: int
    discount: int


def contents(database: Database, customer: int) -> list[tuple[Any, ...]]:
    """The lines of a cart: item number, name, department, price, pieces, stock."""
    return database.rows(
        "select c.sku, p.name, p.department, p.price, c.quantity, p.stock "
        "from cart c join products p on p.sku = c.sku where c.customer = ? order by p.name",
        customer,
    )


def saving(database: Database, code: str, lines: list[tuple[Any, ...]]) -> int | str:
    """What a coupon takes off a cart with those lines, in cents, or why it does not hold."""
    row = database.row(
        "select percent, amount, department, minimum, expires from coupons where code = ?", code
    )
    if row is None:
        return "There is no such coupon."
    percent, amount, department, minimum, expires = row
    if expires < int(database.value("select today from shop")):
        return f"The coupon {code} ended on {day(expires)}."
    fitting = sum(line[3] * line[4] for line in lines if department in ("", line[2]))
    if not fitting:
        return f"The coupon {code} is for nothing in your cart."
    if fitting < minimum:
        return f"The coupon {code} begins at {money(minimum)}."
    return int(min(fitting, amount or fitting * percent // 100))


def summed(database: Database, customer: int) -> Sums:
    """What the customer's cart comes to with the coupon that is on it, if it holds."""
    lines = contents(database, customer)
    code = database.value("select coupon from customers where id = ?", customer)
    off = saving(database, code, lines) if code else 0
    return Sums(sum(line[3] * line[4] for line in lines), off if isinstance(off, int) else 0)


def show(desk: Desk) -> Reply:
    """The cart."""
    lines = contents(desk.database, desk.customer)
    code = str(desk.database.value("select coupon from customers where id = ?", desk.customer))
    if not lines:
        main = '<h1>Cart</h1><p>Your cart is empty.</p><p><a class="more" href="/search">Look around</a></p>'
        return framed(desk, "Cart", main + _coupon(code, ""))
    rows = "".join(
        f'<tr><td><a href="/p/{sku}">{e(name)}</a></td><td class="price">{money(price)}</td>'
        f'<td><form method="post" action="/cart/set/{sku}"><input name="quantity" inputmode="numeric" '
        f'value="{count}" aria-label="Quantity of {e(name)}"><button>Update</button></form></td>'
        f'<td><form method="post" action="/cart/remove/{sku}"><button '
        'class="quiet">Remove</button></form></td></tr>'
        for sku, name, _, price, count, _ in lines
    )
    sums = summed(desk.database, desk.customer)
    off = saving(desk.database, code, lines) if code else 0
    total = f"<tr><th>Goods</th><td>{money(sums.goods)}</td></tr>"
    if sums.discount:
        total += f"<tr><th>Coupon {e(code)}</th><td>-{money(sums.discount)}</td></tr>"
    total += f"<tr><th>Sum</th><td>{money(sums.goods - sums.discount)}</td></tr>"
    main = (
        "<h1>Cart</h1><table "
        f'class="lines">{rows}</table>{_coupon(code, off if isinstance(off, str) else "")}'
    )
    main += f'<table class="sums">{total}</table><p><a class="go" href="/checkout">Check out</a></p>'
    return framed(desk, "Cart", main)


def add(desk: Desk, sku: str) -> Reply:
    """Put pieces of an article into the cart."""
    row = desk.database.row("select name, stock from products where sku = ?", sku)
    if row is None:
        return missing(desk)
    count = desk.count("quantity")
    if not count:
        return refused(desk, f"/p/{sku}", f"The quantity must be a number from 1 to {MOST}.")
    held = _held(desk, sku)
    if held + count > min(row[1], MOST):
        return refused(desk, f"/p/{sku}", f"Only {row[1]} of it are in stock; {held} are in your cart.")
    desk.database.change("insert or replace into cart values (?, ?, ?)", desk.customer, sku, held + count)
    return desk.go("/cart", f"{count} x {row[0]} put into your cart.")


def put(desk: Desk, sku: str) -> Reply:
    """Set how many pieces of an article are in the cart."""
    row = desk.database.row("select name, stock from products where sku = ?", sku)
    if row is None or not _held(desk, sku):
        return missing(desk)
    count = desk.count("quantity")
    if count is None:
        return refused(desk, "/cart", f"The quantity must be a number from 0 to {MOST}.")
    if count > row[1]:
        return refused(desk, "/cart", f"Only {row[1]} of {row[0]} are in stock.")
    if not count:
        return remove(desk, sku)
    desk.database.change(
        "update cart set quantity = ? where customer = ? and sku = ?", count, desk.customer, sku
    )
    return desk.go("/cart", f"{row[0]}: {count} in your cart.")


def remove(desk: Desk, sku: str) -> Reply:
    """Take an article out of the cart."""
    if not _held(desk, sku):
        return missing(desk)
    desk.database.change("delete from cart where customer = ? and sku = ?", desk.customer, sku)
    return desk.go("/cart", "Removed from your cart.")


def use_coupon(desk: Desk) -> Reply:
    """Put a coupon on the cart."""
    code = desk.sent("code").upper()
    off = saving(desk.database, code, contents(desk.database, desk.customer))
    if isinstance(off, str):
        return refused(desk, "/cart", off)
    desk.database.change("update customers set coupon = ? where id = ?", code, desk.customer)
    return desk.go("/cart", f"Coupon {code} takes {money(off)} off.")


def drop_coupon(desk: Desk) -> Reply:
    """Take the coupon off the cart."""
    desk.database.change("update customers set coupon = '' where id = ?", desk.customer)
    return desk.go("/cart", "The coupon was taken off.")


def offers(desk: Desk) -> Reply:
    """The coupons, with their conditions."""
    rows = desk.database.rows("select code, percent, amount, department, minimum, expires from coupons")
    listed = ""
    for code, percent, amount, department, minimum, expires in rows:
        what = f"{percent} % off" if percent else f"{money(amount)} off"
        limits = [f"on {department}" if department else "on everything"]
        limits += [f"from {money(minimum)}"] * bool(minimum)
        limits.append(f"until {day(expires)}")
        listed += (
            f"<li><strong>{e(code)}</strong><span>{what}</span><small>{e(', '.join(limits))}</small></li>"
        )
    main = f'<h1>Offers</h1><p>Today is {day(desk.today())}.</p><ul class="offers">{listed}</ul>'
    return framed(desk, "Offers", main)


def _held(desk: Desk, sku: str) -> int:
    found = desk.mine("select quantity from cart where customer = ? and sku = ?", sku)
    return int(found[0][0]) if found else 0


def _coupon(code: str, trouble: str) -> str:
    if code:
        said = f"<small>{e(trouble)}</small>" if trouble else ""
        return (
            '<form class="coupon" method="post" action="/cart/coupon/drop"><span>Coupon '
            f"{e(code)}</span>{said}"
            f'<button class="quiet">Take off</button></form>'
        )
    return (
        '<form class="coupon" method="post" action="/cart/coupon"><label for="code">Coupon</label>'
        '<input id="code" name="code" value=""><button>Apply</button></form>'
    )
