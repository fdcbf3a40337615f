"""An errand: what a task asks for, and the verdicts on how far it has been done.

Leaves out how errands are made up (see `kinds`) and how one goes about them (see `shopper`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from trace_gym.core.check import Verdict
from trace_gym_envs.shop.database import Database
from trace_gym_envs.shop.facts import Facts, facts
from trace_gym_envs.shop.stocking import image

_SHAPES: Final = {
    "item number": re.compile(r"\b[A-Z]\d{4}\b", re.IGNORECASE),
    "order number": re.compile(r"\bN\d{5}\b", re.IGNORECASE),
    "rule": re.compile(r"\bR\d{1,2}\b", re.IGNORECASE),
    "amount": re.compile(r"\d[\d,]*\.\d\d(?!\d)"),
    "date": re.compile(r"\b\d{4}-\d\d-\d\d\b"),
    "count": re.compile(r"\b\d+\b"),
}
"""How an answer of each sort looks within a sentence."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A fact that must hold in the end; `want` None: it must not be there."""

    name: str
    key: str
    want: str | None


@dataclass(frozen=True, slots=True)
class Errand:
    """What is asked for. `text` is the request; `watch` names pages that have to be read to know what to do;
    `sort` is what the answer must hold ("" any answer ends the errand) and `gold` what it must be ("": none
    of that sort). `cart` is what is in the cart at the beginning, `rival` an article, how many pieces of it
    another customer leaves, and how many are asked for."""

    kind: str
    world: str
    customer: int
    text: str
    goals: tuple[Goal, ...] = ()
    watch: tuple[str, ...] = ()
    sort: str = ""
    gold: str = ""
    cart: tuple[tuple[str, int], ...] = ()
    rival: tuple[str, int, int] | None = None

    def payload(self) -> dict[str, Any]:
        """The errand as JSON data."""
        data = asdict(self)
        data["goals"], data["watch"] = list(data["goals"]), list(self.watch)
        data["cart"] = [list(line) for line in self.cart]
        data["rival"] = self.rival and list(self.rival)
        return data

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Errand:
        """The errand that `payload` wrote."""
        goals = tuple(Goal(**goal) for goal in payload["goals"])
        cart = tuple((sku, count) for sku, count in payload["cart"])
        rival = payload["rival"] and tuple(payload["rival"])
        return cls(
            **{**payload, "goals": goals, "cart": cart, "rival": rival, "watch": tuple(payload["watch"])}
        )

    def opened(self) -> Database:
        """The shop as the errand finds it."""
        database = Database(image(self.world))
        for sku, count in self.cart:
            database.change("insert into cart values (?, ?, ?)", self.customer, sku, count)
        if self.rival is not None:
            database.change("insert into rivals values (?, ?, 0)", *self.rival[:2])
        return database

    def answered(self, said: str) -> bool:
        """Is that the answer? A sentence may hold it, but nothing else of its sort."""
        if not self.sort:
            return True
        found = {match.upper().replace(",", "") for match in _SHAPES[self.sort].findall(said)}
        return found == ({self.gold} if self.gold else set())


def judged(
    errand: Errand, database: Database, *, before: Facts, trail: Iterable[str], said: str | None
) -> Iterator[Verdict]:
    """What of the errand holds: pages read, facts in the database, everything else as it was `before`, and
    what was answered."""
    seen = set(trail)
    for number, path in enumerate(errand.watch, start=1):
        read = path in seen
        evidence = f"{path} was {'' if read else 'not '}read"
        yield Verdict.of(f"page_{number}", read, evidence=evidence, weight=0.3, required=False)
    now = facts(database, errand.customer)
    for goal in errand.goals:
        have = now.get(goal.key)
        evidence = f"{goal.key} is {_quoted(have)}, wanted {_quoted(goal.want)}"
        yield Verdict.of(goal.name, have == goal.want, evidence=evidence)
    own = {goal.key for goal in errand.goals}
    changed = sorted(
        key for key in before.keys() | now.keys() if key not in own and before.get(key) != now.get(key)
    )
    evidence = "nothing else was changed"
    if changed:
        first = changed[0]
        evidence = (
            f"{len(changed)} changed besides: {first} from {_quoted(before.get(first))} to "
            f"{_quoted(now.get(first))}"
        )
    yield Verdict.of("nothing_else", not changed, evidence=evidence, weight=0.0)
    yield _answer(errand, said)


def _answer(errand: Errand, said: str | None) -> Verdict:
    due = (
        f"the {errand.sort} {errand.gold}"
        if errand.gold
        else f"no {errand.sort}"
        if errand.sort
        else "any words"
    )
    if said is None:
        return Verdict.of("answer", False, evidence=f"not answered yet; due is {due}")
    return Verdict.of("answer", errand.answered(said), evidence=f"answered {_quoted(said)}, due is {due}")


def _quoted(text: str | None) -> str:
    if text is None:
        return "missing"
    return repr(text if len(text) <= 80 else text[:79] + "…")
