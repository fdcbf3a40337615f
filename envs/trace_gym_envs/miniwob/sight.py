"""A page as its reference solution sees it: the instruction, elements by selector, and actions on them.

Looking changes nothing on the page. Leaves out the solutions themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from trace_gym.core.action import Action
from trace_gym.environment.browser import Tab
from trace_gym.environment.browser_wire import Found

Solution: TypeAlias = Callable[["Sight"], Action]


class Unsolvable(Exception):
    """The page cannot be brought to its goal from here, or this seed's never could."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a solution works with."""

    tab: Tab
    instruction: str

    @property
    def quoted(self) -> list[str]:
        """What the instruction has between quotes."""
        return re.findall(r'"([^"]*)"', self.instruction)

    def match(self, pattern: str) -> re.Match[str]:
        """The instruction, which must match."""
        found = re.search(pattern, self.instruction)
        if found is None:
            raise Unsolvable(f"the instruction {self.instruction!r} is not of the form {pattern!r}")
        return found

    def js(self, expression: str, *given: object) -> Any:
        """The value of an expression of the page, or of a function of `given`."""
        text = f"({expression})({', '.join(map(json.dumps, given))})" if given else expression
        told = self.tab.evaluate(
            f"(() => {{ try {{ return [{text}] }} catch (error) {{ return `${{error}}` }} }})()"
        )
        if isinstance(told, str):
            raise Unsolvable(told)
        return told[0]

    def all(self, selector: str) -> list[Found]:
        """The visible elements of a selector."""
        return [found for found in self.tab.find(selector) if found.shown]

    def any(self, selector: str) -> bool:
        """Is one of them visible?"""
        return bool(self.all(selector))

    def one(self, selector: str, text: str | None = None) -> Found:
        """The first visible element of a selector, of those with a text if given."""
        for found in self.all(selector):
            if text is None or found.text == text:
                return found
        raise Unsolvable(f"there is no {selector} {text or ''}")

    def at(self, selector: str, place: int) -> Found:
        """The visible element at a place, counted from 0."""
        found = self.all(selector)
        if place >= len(found):
            raise Unsolvable(f"there are only {len(found)} {selector}")
        return found[place]

    def click(self, target: str | Found, text: str | None = None, *, count: int = 1) -> Action:
        """Click an element."""
        return self._on("click", target, text, {} if count == 1 else {"count": count})

    def hover(self, target: str | Found, text: str | None = None) -> Action:
        """Move the pointer over an element."""
        return self._on("hover", target, text, {})

    def enter(self, fields: Iterable[tuple[str | Found, str]], submit: str | Found) -> Action:
        """Type what is not yet in its field, else click."""
        for target, text in fields:
            found = self.one(target) if isinstance(target, str) else target
            if found.value != text:
                return Action.call("type", ref=_ref(found), text=text)
        return self.click(submit)

    def tick(self, boxes: Iterable[tuple[Found, bool]], submit: str) -> Action:
        """Set the check boxes that are not yet as they should be, else click."""
        for box, wanted in boxes:
            if box.checked != wanted:
                return self.click(box)
        return self.click(submit)

    def point(self, selector: str, x: float, y: float) -> Action:
        """Click at a place of an element, in pixels from its top left corner."""
        return Action.call("click", ref=_ref(self.one(selector)), x=max(0, round(x)), y=max(0, round(y)))

    def _on(self, name: str, target: str | Found, text: str | None, more: dict[str, Any]) -> Action:
        found = self.one(target, text) if isinstance(target, str) else target
        place = {} if found.own else {"x": max(0, found.x), "y": max(0, found.y)}
        if found.ref is None:
            raise Unsolvable(f"{target} is not listed")
        return Action.call(name, ref=found.ref, **place, **more)


def _ref(found: Found) -> int:
    if found.ref is None or not found.own:
        raise Unsolvable("the element is not listed")
    return found.ref


SOLUTIONS: Final[dict[str, Solution]] = {}
"""The reference solutions by page; the `solve_*` modules fill it."""


def solves(*pages: str) -> Callable[[Solution], Solution]:
    """Mark a function as the reference solution of pages."""

    def mark(solution: Solution) -> Solution:
        for page in pages:
            if page in SOLUTIONS:
                raise ValueError(f"page {page!r} has two solutions")
            SOLUTIONS[page] = solution
        return solution

    return mark
