"""Between the shopper and Chromium: which reference is which link or field, what fields hold, and how a page
that was loaded again is brought to where it was.

Leaves out the tools, which are the suite's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from trace_gym.core.action import Action
from trace_gym.environment.browser_wire import Look
from trace_gym_envs.shop.shopper import Move
from trace_gym_envs.shop.sight import Sight

STATE: Final = (
    "({values: [...document.querySelectorAll('input,select')].map((each) => each.value),"
    " scroll: [scrollX, scrollY],"
    " focus: [...document.querySelectorAll('*')].indexOf(document.activeElement)})"
)
"""JavaScript that tells what has been done to a page since it was loaded: fields, scrolling, focus."""

_RESTORED: Final = (
    "((was) => {{ [...document.querySelectorAll('input,select')].forEach((each, i) => {{"
    " if (each.value !== was.values[i]) each.value = was.values[i]; }});"
    " const at = document.querySelectorAll('*')[was.focus];"
    " if (at && at !== document.activeElement) at.focus({{preventScroll: true}});"
    " scrollTo(...was.scroll); }})({})"
)

_LINE: Final = re.compile(r"^\s*\[(\d+)\] (\w+)")
_ACTED_ON: Final = frozenset(("link", "button", "textbox", "searchbox", "combobox"))


def typed(text: str) -> str:
    """What is typed for a text: Enter at its end only, where it is the last thing that happens; a key that
    sends a form or leaves the field in mid-text would race with the page."""
    line = text.rstrip("\r\n")
    return "".join(c if c.isprintable() else " " for c in line) + "\n" * (line != text)


def restoring(done_since: Any) -> str:
    """JavaScript that does to a page just loaded what STATE told of it."""
    return _RESTORED.format(json.dumps(done_since))


def roles(page: Look) -> Mapping[int, str]:
    """The role of every reference of a page, in the document's order."""
    return {int(found[1]): found[2] for line in page.lines if (found := _LINE.match(line))}


def values(sight: Sight, probe: Any) -> Mapping[int, str]:
    """What the fields of a page hold now, by their number in its sight."""
    fields = [n for n, item in enumerate(sight.items, start=1) if item.kind in ("input", "select")]
    return dict(zip(fields, probe["values"], strict=False))


def as_call(made: Move, sight: Sight, page: Look) -> Action:
    """A move as the browser's tools make it. The items of a sight and the references that can be acted on
    follow each other in the same order."""
    refs = [ref for ref, role in roles(page).items() if role in _ACTED_ON]
    ref = refs[made.item - 1] if 0 < made.item <= len(refs) else 1
    match made.do:
        case "click":
            return Action.call("click", ref=ref)
        case "fill":
            return Action.call("type", ref=ref, text=made.text)
        case "select":
            texts = dict(sight.items[made.item - 1].options)
            return Action.call("select", ref=ref, option=texts.get(made.text, made.text))
        case "search":
            box = next(n for n, item in enumerate(sight.items) if item.name == "q")
            return Action.call("type", ref=refs[box], text=f"{made.text}\n")
        case "goto":
            return Action.call("goto", url=made.text)
        case _:
            return Action.call("answer", text=made.text)
