"""The account: contact, preferences, the address book."""

from __future__ import annotations

from typing import Any, Final

from trace_gym_envs.shop.desk import Desk, Reply
from trace_gym_envs.shop.pages.frame import e, field, framed, missing, picked, refused

LANGUAGES: Final = ("English", "German", "French", "Spanish")
PARTS: Final = {
    "label": "Label",
    "name": "Name",
    "street": "Street and number",
    "postcode": "Postcode",
    "town": "Town",
}
MOST_ADDRESSES: Final = 8


def show(desk: Desk) -> Reply:
    """Contact and preferences, as a form."""
    row = desk.database.row(
        "select name, email, phone, newsletter, language, address, card from customers where id = ?",
        desk.customer,
    )
    assert row is not None
    name, email, phone, newsletter, language, address, card = row
    addresses = [
        (str(key), label) for key, label in desk.mine("select id, label from addresses where customer = ?")
    ]
    found = desk.mine("select id, brand, last4 from cards where customer = ?")
    cards = [(str(key), f"{brand} ending {last4}") for key, brand, last4 in found]
    main = (
        f'<h1>Account</h1><p>{e(name)}</p><p><a class="more" href="/account/addresses">Addresses</a></p>'
        f'<form class="sheet" method="post" action="/account">{field("email", "E-mail", email)}'
        f"{field('phone', 'Phone', phone)}"
        f"{picked('newsletter', 'Newsletter', [('1', 'Yes'), ('0', 'No')], str(newsletter))}"
        f"{picked('language', 'Language', [(each, each) for each in LANGUAGES], language)}"
        f"{picked('address', 'Usual address', addresses, str(address))}"
        f"{picked('card', 'Usual card', cards, str(card))}<button>Save</button></form>"
    )
    return framed(desk, "Account", main)


def put(desk: Desk) -> Reply:
    """Save contact and preferences."""
    email, phone, language = desk.sent("email"), desk.sent("phone"), desk.sent("language")
    newsletter = desk.sent("newsletter")
    if email.count("@") != 1 or " " in email or not phone:
        return refused(desk, "/account", "Give an e-mail address and a phone number.")
    address = desk.mine("select id from addresses where customer = ? and id = ?", desk.sent("address"))
    card = desk.mine("select id from cards where customer = ? and id = ?", desk.sent("card"))
    if newsletter not in ("0", "1") or language not in LANGUAGES or not address or not card:
        return refused(desk, "/account", "Choose from the lists.")
    values = (email, phone, int(newsletter), language, address[0][0], card[0][0])
    desk.database.change(
        "update customers set email = ?, phone = ?, newsletter = ?, language = ?, address = ?, "
        "card = ? where id = ?",
        *values,
        desk.customer,
    )
    return desk.go("/account", "Saved.")


def book(desk: Desk) -> Reply:
    """The address book."""
    rows = desk.mine(
        "select id, label, name, street, postcode, town from addresses where customer = ? order by id"
    )
    usual = desk.database.value("select address from customers where id = ?", desk.customer)
    cards = "".join(
        f"<li><strong>{e(label)}</strong>{' (usual)' if key == usual else ''}<p>{e(name)}, {e(street)}, "
        f'{e(postcode)} {e(town)}</p><a href="/account/addresses/{key}">Change</a>'
        f'<form method="post" action="/account/addresses/{key}/remove"><button '
        'class="quiet">Remove</button></form></li>'
        for key, label, name, street, postcode, town in rows
    )
    main = (
        f'<h1>Addresses</h1><ul class="book">{cards}</ul><p><a class="more" '
        'href="/account/addresses/new">New address</a></p>'
    )
    return framed(desk, "Addresses", main)


def new(desk: Desk) -> Reply:
    """The form for another address."""
    name = desk.database.value("select name from customers where id = ?", desk.customer)
    return _form(desk, "New address", "/account/addresses/new", {"name": name})


def add(desk: Desk) -> Reply:
    """Put another address into the book."""
    given = {part: desk.sent(part) for part in PARTS}
    if not all(given.values()):
        return refused(desk, "/account/addresses/new", "Fill in every field.")
    if len(desk.mine("select id from addresses where customer = ?")) >= MOST_ADDRESSES:
        return refused(desk, "/account/addresses", f"An account holds {MOST_ADDRESSES} addresses.")
    desk.database.change(
        "insert into addresses values (null, ?, ?, ?, ?, ?, ?)", desk.customer, *given.values()
    )
    return desk.go("/account/addresses", f"{given['label']} was added.")


def edit(desk: Desk, key: str) -> Reply:
    """The form for an address of the book."""
    row = _address(desk, key)
    if row is None:
        return missing(desk)
    given = dict(zip(PARTS, row, strict=True))
    return _form(desk, "Change address", f"/account/addresses/{key}", given)


def change(desk: Desk, key: str) -> Reply:
    """Change an address of the book."""
    if _address(desk, key) is None:
        return missing(desk)
    given = {part: desk.sent(part) for part in PARTS}
    if not all(given.values()):
        return refused(desk, f"/account/addresses/{key}", "Fill in every field.")
    desk.database.change(
        "update addresses set label = ?, name = ?, street = ?, postcode = ?, town = ? where id = ?",
        *given.values(),
        key,
    )
    return desk.go("/account/addresses", f"{given['label']} was changed.")


def remove(desk: Desk, key: str) -> Reply:
    """Take an address out of the book; not the usual one."""
    row = _address(desk, key)
    if row is None:
        return missing(desk)
    if str(desk.database.value("select address from customers where id = ?", desk.customer)) == key:
        return refused(
            desk, "/account/addresses", "Your usual address stays; choose another usual one first."
        )
    desk.database.change("delete from addresses where id = ?", key)
    return desk.go("/account/addresses", f"{row[0]} was removed.")


def _address(desk: Desk, key: str) -> tuple[Any, ...] | None:
    found = desk.mine(
        "select label, name, street, postcode, town from addresses where customer = ? and id = ?", key
    )
    return found[0] if found else None


def _form(desk: Desk, title: str, action: str, given: dict[str, str]) -> Reply:
    fields = "".join(field(part, label, given.get(part, "")) for part, label in PARTS.items())
    main = (
        f'<h1>{title}</h1><form class="sheet" method="post" '
        f'action="{action}">{fields}<button>Save</button></form>'
    )
    return framed(desk, title, main)
