"""What a page works with: the database, who is asking and what was sent; and the reply that it makes.

Leaves out HTTP, which is the app's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from trace_gym_envs.shop.database import Database

LONGEST: Final = 200
"""Characters that a field of a form may hold."""

MOST: Final = 99
"""Pieces of one article in a cart."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back. A `location` sends the browser there; `cookies` are to be set."""

    body: str = ""
    status: int = 200
    location: str | None = None
    cookies: Mapping[str, str] = field(default_factory=dict)
    kind: str = "text/html"


@dataclass(frozen=True, slots=True)
class Desk:
    """A request. `customer` is the id of who is signed in, `token` the session; `recent` are item numbers
    seen lately, which the browser keeps in a cookie."""

    database: Database
    token: str
    customer: int
    path: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    recent: tuple[str, ...] = ()

    def sent(self, name: str) -> str:
        """A field of the form, tidied."""
        return tidied(self.form.get(name, ""))

    def count(self, name: str) -> int | None:
        """A field that holds a number of pieces, 0 to 99; None if it does not."""
        text = self.sent(name)
        return int(text) if text.isascii() and text.isdigit() and int(text) <= MOST else None

    def today(self) -> int:
        """The day as an ordinal."""
        return int(self.database.value("select today from shop"))

    def go(self, path: str, notice: str = "") -> Reply:
        """Send the browser to a page, where the notice will stand."""
        self.say(notice)
        return Reply(status=303, location=path)

    def say(self, notice: str) -> None:
        """Leave a notice for the next page."""
        self.database.change("update sessions set notice = ? where token = ?", notice, self.token)

    def heard(self) -> str:
        """The notice, which is then gone."""
        notice = str(self.database.value("select notice from sessions where token = ?", self.token) or "")
        if notice:
            self.say("")
        return notice

    def mine(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a question whose first parameter is the customer."""
        return self.database.rows(sql, self.customer, *values)


def tidied(text: str) -> str:
    """What somebody sent, without control characters and spaces around, cut at the limit."""
    return "".join(c if c.isprintable() else " " for c in text[:LONGEST]).strip()


def day(ordinal: int) -> str:
    """A date as people of all languages read it."""
    return date.fromordinal(ordinal).isoformat()


def money(cents: int) -> str:
    """An amount with its currency."""
    return f"${cents // 100}.{cents % 100:02d}"
