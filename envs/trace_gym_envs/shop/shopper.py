"""The scripted shopper: what to do next about an errand, from whatever state, and how to do it on a page.

It goes about as people do: by links, the search and forms, by address only where nothing leads there. It
knows what is asked for and where to look; both front ends are driven by it. Leaves out what cannot be mended
(goods sent back by mistake stay sent back).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from trace_gym_envs.shop.database import Database
from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.facts import ACCOUNT, Facts, facts, fresh_orders
from trace_gym_envs.shop.sight import Sight


@dataclass(frozen=True, slots=True)
class Reach:
    """Be on a page."""

    path: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a form, which goes to `action` and stands on the page `at`, with these values."""

    at: str
    action: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Say:
    """Answer."""

    text: str


Wish: TypeAlias = Reach | Send | Say


def wish(errand: Errand, database: Database, *, before: Facts, trail: tuple[str, ...]) -> Wish:
    """What to do next: read what must be read, then bring every fact to what it must be, then answer."""
    for path in errand.watch:
        if path not in trail:
            return Reach(path)
    now, due = facts(database, errand.customer), _due(errand, before)
    mender = _Mender(database, errand.customer, now, due)
    for mend in (mender.account, mender.addresses, mender.orders, mender.reviews):
        found = mend()
        if found is not None:
            return found
    wanted = {key: value for key, value in due.items() if key.startswith("new/")}
    found = mender.order(errand, wanted) if wanted or fresh_orders(database, errand.customer) else None
    return found or mender.cart(due) or Say(errand.gold or "Done.")


def _due(errand: Errand, before: Facts) -> dict[str, str]:
    """All facts as they must be in the end."""
    due = dict(before)
    for goal in errand.goals:
        if goal.want is None:
            due.pop(goal.key, None)
        else:
            due[goal.key] = goal.want
    return due


@dataclass(frozen=True, slots=True)
class _Mender:
    """Finds the next thing that brings facts of a sort from `now` to `due`; None where nothing is left."""

    database: Database
    customer: int
    now: Facts
    due: Facts

    def account(self) -> Wish | None:
        """Contact and preferences."""
        fields = {
            name: self.due[f"account/{name}"]
            for name in ACCOUNT
            if self.now[f"account/{name}"] != self.due[f"account/{name}"]
        }
        return Send("/account", "/account", fields) if fields else None

    def addresses(self) -> Wish | None:
        """The address book: changed, renamed, added, removed."""
        mine = {key: value for key, value in self.now.items() if key.startswith("address/")}
        due = {key: value for key, value in self.due.items() if key.startswith("address/")}
        extra = [key for key in mine if key not in due]
        for key, value in due.items():
            if mine.get(key) == value:
                continue
            fields = dict(zip(("name", "street", "postcode", "town"), value.split(" | "), strict=True))
            fields["label"] = key.removeprefix("address/")
            changed = key if key in mine else extra[0] if extra else None
            where = (
                "/account/addresses/new"
                if changed is None
                else f"/account/addresses/{self._address(changed)}"
            )
            return Send(where, where, fields)
        if extra:
            return Send("/account/addresses", f"/account/addresses/{self._address(extra[0])}/remove", {})
        return None

    def orders(self) -> Wish | None:
        """Old orders: cancelled, redirected, sent back."""
        for key, value in self.due.items():
            if self.now.get(key) == value or not key.startswith(("order/", "return/")):
                continue
            _, number, rest = key.split("/", 2)
            if key.startswith("return/") and key not in self.now:
                quantity, reason, refund = value.split(" ")
                where = f"/orders/{number}/return/{rest}"
                return Send(where, where, {"quantity": quantity, "reason": reason, "refund": refund})
            if rest == "status" and value == "cancelled":
                return Send(f"/orders/{number}", f"/orders/{number}/cancel", {})
            place = self._place(value)
            if (
                rest == "destination"
                and place
                and self.now[f"order/{number}/status"] in ("placed", "shipped")
            ):
                return Send(f"/orders/{number}/address", f"/orders/{number}/address", {"address": place})
        return None

    def reviews(self) -> Wish | None:
        """What the customer has written."""
        for key, value in self.due.items():
            if key.startswith("review/") and self.now.get(key) != value:
                stars, title, text = value.split(" | ", 2)
                where = f"/p/{key.removeprefix('review/')}/review"
                return Send(where, where, {"stars": stars, "title": title, "text": text})
        return None

    def order(self, errand: Errand, wanted: Facts) -> Wish | None:
        """The order that is wanted, and no other; before it the one for which another customer is too
        fast."""
        rival = errand.rival
        if rival is not None and f"sold/{rival[0]}" not in self.now:
            tried = {f"cart/{rival[0]}": str(rival[2])}
            return self.cart({**tried, "coupon": ""}) or Send("/checkout", "/checkout", {})
        fresh = fresh_orders(self.database, self.customer)
        have = {key: value for key, value in self.now.items() if key.startswith("new/")}
        if fresh and have != wanted:
            return Send(f"/orders/{fresh[0]}", f"/orders/{fresh[0]}/cancel", {})
        if fresh or not wanted:
            return None
        lines = (line.split(" x ") for line in wanted["new/1/goods"].split(", "))
        filled = {f"cart/{sku}": count for count, sku in lines}
        ready = self.cart({**filled, "coupon": ""})
        if ready is not None:
            return ready
        sql = "select id from cards where customer = ? and last4 = ?"
        card = str(self.database.value(sql, self.customer, wanted["new/1/card"]))
        fields = {
            "address": self._place(wanted["new/1/destination"]),
            "method": wanted["new/1/method"],
            "card": card,
        }
        return Send("/checkout", "/checkout", fields)

    def cart(self, due: Facts) -> Wish | None:
        """The cart and the coupon on it."""
        for key in {**due, **self.now}:
            have, want = self.now.get(key), due.get(key)
            if not key.startswith("cart/") or have == want:
                continue
            sku = key.removeprefix("cart/")
            if want is None:
                return Send("/cart", f"/cart/remove/{sku}", {})
            if have is None:
                return Send(f"/p/{sku}", f"/cart/add/{sku}", {"quantity": want})
            return Send("/cart", f"/cart/set/{sku}", {"quantity": want})
        if self.now["coupon"] != due["coupon"]:
            if self.now["coupon"]:
                return Send("/cart", "/cart/coupon/drop", {})
            return Send("/cart", "/cart/coupon", {"code": due["coupon"]})
        return None

    def _address(self, key: str) -> str:
        """The id of an address of the book by its key among the facts."""
        keys = [each for each in self.now if each.startswith("address/")]
        rows = self.database.rows("select id from addresses where customer = ? order by id", self.customer)
        return str(rows[keys.index(key)][0])

    def _place(self, line: str) -> str:
        """The id of an address by its line; empty if the book does not hold it."""
        sql = (
            "select id from addresses where customer = ? and name || ', ' || street || ', ' || "
            "postcode || ' ' || town = ?"
        )
        return str(self.database.value(sql, self.customer, line) or "")


@dataclass(frozen=True, slots=True)
class Move:
    """One thing done in a browser: `do` is click, fill, select, search, goto or answer; `item` the number of
    what it is done to; `text` what is written, chosen (a value), looked for, opened or said."""

    do: str
    item: int = 0
    text: str = ""


def move(wanted: Wish, sight: Sight, *, url: str, value: Callable[[int], str], database: Database) -> Move:
    """The next move towards a wish, on the page that is open; `value` tells what a field holds now."""
    if isinstance(wanted, Say):
        return Move("answer", text=wanted.text)
    if isinstance(wanted, Reach):
        return _towards(wanted.path, sight, url, database)
    for number, form in enumerate(sight.forms):
        if form.action == wanted.action:
            return _form(wanted, sight, number, value)
    return _towards(wanted.at, sight, url, database)


def _form(wanted: Send, sight: Sight, form: int, value: Callable[[int], str]) -> Move:
    fields = sight.fields(form)
    for name, text in wanted.fields.items():
        number = fields.get(name)
        if number is not None and value(number) != text:
            do = "select" if sight.items[number - 1].kind == "select" else "fill"
            return Move(do, number, text)
    button = next(n for n, item in enumerate(sight.items, 1) if item.form == form and item.kind == "button")
    return Move("click", button)


def _towards(path: str, sight: Sight, url: str, database: Database) -> Move:
    for number, item in enumerate(sight.items, start=1):
        if item.kind == "link" and item.target == path:
            return Move("click", number)
    parent = _parent(path)
    if parent is None or not sight.items or url == parent:
        return Move("goto", text=path)
    if parent == "/search":
        name = str(database.value("select name from products where sku = ?", path.removeprefix("/p/")))
        return Move("goto", text=path) if url.startswith("/search") else Move("search", text=name)
    return _towards(parent, sight, url, database)


def _parent(path: str) -> str | None:
    """The page from which one gets to a page; None for those that every page links to."""
    above, _, last = path.rpartition("/")
    if path.startswith("/p/") and last != "review":
        return "/search"
    if path == "/checkout":
        return "/cart"
    if "/return/" in path:
        return above.removesuffix("/return")
    return above or None
