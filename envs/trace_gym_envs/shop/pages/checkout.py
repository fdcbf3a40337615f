"""From the cart to an order: where to, how, paid by which card; and the customer who was faster."""

from __future__ import annotations

from trace_gym_envs.shop.desk import Desk, Reply, money
from trace_gym_envs.shop.pages.cart import contents, summed
from trace_gym_envs.shop.pages.frame import e, framed, picked, refused
from trace_gym_envs.shop.rules import METHODS


def show(desk: Desk) -> Reply:
    """The form that makes an order."""
    lines = contents(desk.database, desk.customer)
    if not lines:
        return refused(desk, "/cart", "There is nothing to check out.")
    row = desk.database.row("select address, card from customers where id = ?", desk.customer)
    assert row is not None
    addresses = desk.mine("select id, label, street, town from addresses where customer = ? order by id")
    cards = desk.mine("select id, brand, last4 from cards where customer = ? order by id")
    sums = summed(desk.database, desk.customer)
    listed = "".join(
        f"<li>{count} x {e(name)}, {money(price * count)}</li>" for _, name, _, price, count, _ in lines
    )
    to = [(str(key), f"{label}: {street}, {town}") for key, label, street, town in addresses]
    by = [(str(key), f"{brand} ending {last4}") for key, brand, last4 in cards]
    ways = [(name, f"{name.capitalize()}, {money(cents)}") for name, cents in METHODS.items()]
    off = f" less {money(sums.discount)}" if sums.discount else ""
    main = (
        f'<h1>Check out</h1><ul class="plain">{listed}</ul><p>Goods {money(sums.goods)}{off}</p>'
        '<form class="sheet" method="post" '
        f'action="/checkout">{picked("address", "Deliver to", to, str(row[0]))}'
        f"{picked('method', 'Delivery', ways, 'standard')}{picked('card', 'Pay with', by, str(row[1]))}"
        f'<button class="go">Place order</button></form>'
    )
    return framed(desk, "Check out", main)


def place(desk: Desk) -> Reply:
    """Make an order of the cart, if everything is still there."""
    database = desk.database
    lines = contents(database, desk.customer)
    if not lines:
        return refused(desk, "/cart", "There is nothing to check out.")
    address = desk.mine(
        "select name, street, postcode, town from addresses where customer = ? and id = ?",
        desk.sent("address"),
    )
    card = desk.mine("select last4 from cards where customer = ? and id = ?", desk.sent("card"))
    method = desk.sent("method")
    if not address or not card or method not in METHODS:
        return refused(desk, "/checkout", "Choose an address, a way of delivery and a card.")
    for sku, name, _, _, count, stock in lines:
        left = _after_rivals(desk, sku, stock)
        if left < count:
            return refused(
                desk,
                "/cart",
                f"Sorry: somebody was faster, only {left} of {name} are left. Nothing was ordered.",
            )
    sums = summed(database, desk.customer)
    number = f"N{90_000 + int(database.value('select count(*) from orders'))}"
    name, street, postcode, town = address[0]
    coupon = (
        database.value("select coupon from customers where id = ?", desk.customer) if sums.discount else ""
    )
    total = sums.goods - sums.discount + METHODS[method]
    state = (desk.today(), "placed", None, f"{name}, {street}, {postcode} {town}", card[0][0], method)
    row = (number, desk.customer, *state, coupon, sums.goods, sums.discount, METHODS[method], total, 1)
    database.change(f"insert into orders values ({', '.join('?' * len(row))})", *row)
    for sku, _, _, price, count, _ in lines:
        database.change("insert into lines values (?, ?, ?, ?)", number, sku, count, price)
        database.change("update products set stock = stock - ? where sku = ?", count, sku)
    database.change("delete from cart where customer = ?", desk.customer)
    database.change("update customers set coupon = '' where id = ?", desk.customer)
    return desk.go(f"/orders/{number}", f"Thank you. Your order {number} was placed.")


def _after_rivals(desk: Desk, sku: str, stock: int) -> int:
    """What is left of an article once another customer, if there is one, has bought some."""
    leaves = desk.database.value("select leaves from rivals where sku = ? and came = 0", sku)
    if leaves is None:
        return stock
    left = min(stock, int(leaves))
    desk.database.change("update rivals set came = 1 where sku = ?", sku)
    desk.database.change("update products set stock = ? where sku = ?", left, sku)
    return left
