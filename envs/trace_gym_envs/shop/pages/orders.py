"""Orders after they were placed: the list, one of them, cancelling, another address, sending goods back.

The shop takes every such request, whatever its rules say: somebody looks at it later.
"""

from __future__ import annotations

from typing import Any, Final

from trace_gym_envs.shop.desk import Desk, Reply, day, money
from trace_gym_envs.shop.pages.frame import e, field, framed, missing, picked, refused

REASONS: Final = {
    "damaged": "Damaged",
    "wrong": "Wrong article",
    "unlike": "Not as described",
    "mind": "Changed my mind",
}
REFUNDS: Final = {"card": "Back to the card", "credit": "Store credit"}
OPEN: Final = ("placed", "shipped")


def listed(desk: Desk) -> Reply:
    """All orders, the newest first."""
    rows = desk.mine(
        "select number, day, status, total from orders where customer = ? order by day desc, number"
    )
    table = "".join(
        f'<tr><td><a href="/orders/{number}">{number}</a></td><td>{day(when)}</td><td>{e(status)}</td>'
        f'<td class="price">{money(total)}</td></tr>'
        for number, when, status, total in rows
    )
    main = f'<h1>Orders</h1><p>Today is {day(desk.today())}.</p><table class="lines">{table}</table>'
    return framed(desk, "Orders", main)


def show(desk: Desk, number: str) -> Reply:
    """One order, and what can be asked for it."""
    row = _order(desk, number)
    if row is None:
        return missing(desk)
    when, status, delivered, destination, card, method, coupon, discount, delivery, total = row
    facts = [
        ("Placed", day(when)),
        ("State", status if delivered is None else f"{status} {day(delivered)}"),
        ("Deliver to", destination),
        ("Delivery", f"{method}, {money(delivery)}"),
        ("Paid with", f"card ending {card}"),
    ]
    facts += [("Coupon", f"{coupon}, -{money(discount)}")] * bool(coupon)
    facts.append(("Total", money(total)))
    table = "".join(f"<tr><th>{e(label)}</th><td>{e(value)}</td></tr>" for label, value in facts)
    main = (
        f"<h1>Order {number}</h1><table>{table}</table><table "
        f'class="lines">{_lines(desk, number, status)}</table>'
    )
    if status in OPEN:
        main += f'<p><a class="more" href="/orders/{number}/address">Change the delivery address</a></p>'
        main += (
            f'<form method="post" action="/orders/{number}/cancel"><button class="quiet">Cancel this '
            "order</button></form>"
        )
    return framed(desk, f"Order {number}", main)


def cancel(desk: Desk, number: str) -> Reply:
    """Cancel an order that is not there yet."""
    row = _order(desk, number)
    if row is None or row[1] not in OPEN:
        return missing(desk)
    desk.database.change("update orders set status = 'cancelled' where number = ?", number)
    return desk.go(f"/orders/{number}", f"Order {number} is cancelled.")


def ask_address(desk: Desk, number: str) -> Reply:
    """Where else an order may go."""
    row = _order(desk, number)
    if row is None or row[1] not in OPEN:
        return missing(desk)
    known = desk.mine("select id, label, street, town from addresses where customer = ? order by id")
    options = [(str(key), f"{label}: {street}, {town}") for key, label, street, town in known]
    main = (
        f"<h1>Order {number}</h1><p>It goes to {e(row[3])}.</p>"
        f'<form class="sheet" method="post" action="/orders/{number}/address">'
        f"{picked('address', 'Deliver to', options)}<button>Change the address</button></form>"
    )
    return framed(desk, f"Order {number}", main)


def put_address(desk: Desk, number: str) -> Reply:
    """Send an order elsewhere."""
    row = _order(desk, number)
    if row is None or row[1] not in OPEN:
        return missing(desk)
    found = desk.mine(
        "select name, street, postcode, town from addresses where customer = ? and id = ?",
        desk.sent("address"),
    )
    if not found:
        return refused(desk, f"/orders/{number}/address", "Choose one of your addresses.")
    name, street, postcode, town = found[0]
    line = f"{name}, {street}, {postcode} {town}"
    desk.database.change("update orders set destination = ? where number = ?", line, number)
    return desk.go(f"/orders/{number}", "The delivery address was changed.")


def ask_return(desk: Desk, number: str, sku: str) -> Reply:
    """The form that sends goods back."""
    line = _line(desk, number, sku)
    if line is None:
        return missing(desk)
    name, bought, sent = line
    if sent is not None:
        return refused(desk, f"/orders/{number}", f"{name} has been sent back already.")
    count = field("quantity", f"Quantity, up to {bought}", "1", numeric=True)
    main = (
        f"<h1>Send back</h1><p>{e(name)}, order {number}</p>"
        f'<form class="sheet" method="post" action="/orders/{number}/return/{sku}">{count}'
        f"{picked('reason', 'Reason', REASONS.items())}{picked('refund', 'Refund', REFUNDS.items())}"
        f"<button>Send back</button></form>"
    )
    return framed(desk, "Send back", main)


def put_return(desk: Desk, number: str, sku: str) -> Reply:
    """Send goods back, once a line."""
    line = _line(desk, number, sku)
    if line is None or line[2] is not None:
        return missing(desk)
    count, reason, refund = desk.count("quantity"), desk.sent("reason"), desk.sent("refund")
    if not count or count > line[1] or reason not in REASONS or refund not in REFUNDS:
        return refused(
            desk, f"/orders/{number}/return/{sku}", f"Give a quantity from 1 to {line[1]}, reason and refund."
        )
    desk.database.change("insert into returns values (?, ?, ?, ?, ?)", number, sku, count, reason, refund)
    return desk.go(f"/orders/{number}", f"We wait for {count} x {line[0]}.")


def _order(desk: Desk, number: str) -> tuple[Any, ...] | None:
    found = desk.mine(
        "select day, status, delivered, destination, card, method, coupon, discount, delivery, total "
        "from orders where customer = ? and number = ?",
        number,
    )
    return found[0] if found else None


def _line(desk: Desk, number: str, sku: str) -> tuple[str, int, int | None] | None:
    """Name, pieces bought and pieces sent back of a delivered line of an order of this customer."""
    found = desk.mine(
        "select p.name, l.quantity, r.quantity from orders o join lines l on l.number = o.number "
        "join products p on p.sku = l.sku left join returns r on r.number = l.number and r.sku = l.sku "
        "where o.customer = ? and o.status = 'delivered' and l.number = ? and l.sku = ?",
        number,
        sku,
    )
    return found[0] if found else None


def _lines(desk: Desk, number: str, status: str) -> str:
    rows = desk.database.rows(
        "select l.sku, p.name, p.department, l.quantity, l.price, r.quantity from lines l "
        "join products p on p.sku = l.sku left join returns r on r.number = l.number and r.sku = l.sku "
        "where l.number = ? order by p.name",
        number,
    )
    found = ""
    for sku, name, department, count, price, sent in rows:
        then = f"{sent} sent back" if sent else ""
        if status == "delivered" and not sent:
            then = f'<a href="/orders/{number}/return/{sku}">Send back</a>'
        found += f'<tr><td><a href="/p/{sku}">{e(name)}</a></td><td>{e(department)}</td>'
        found += f"<td>{count} x {money(price)}</td><td>{then}</td></tr>"
    return found
