"""What a check of an MCP task finds in what was said. Leaves out asking for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from trace_gym.core.check import Status, Verdict
from trace_gym.interop.mcp.config import Check
from trace_gym.interop.mcp.connection import Said

LONGEST = 300


def judged(check: Check, number: int, said: Said | None) -> Verdict:
    """The finding of the check in place `number`; skipped while there is no answer to look at."""
    name = check.name or f"{number}_{check.tool or 'answer'}"
    if said is None:
        return Verdict(
            name, Status.SKIPPED, 0.0, "no answer yet", weight=check.weight, required=check.required
        )
    passed = not said.failed and holds(check, said)
    words = said.text if isinstance(said.value, str) else json.dumps(said.value, ensure_ascii=False)
    evidence = f"{check.tool or 'the answer'} says {words[:LONGEST]}"
    return Verdict.of(name, passed, evidence=evidence, weight=check.weight, required=check.required)


def holds(check: Check, said: Said) -> bool:
    """Does what was said fit the check's rule?"""
    if check.contains is not None:
        return check.contains.casefold() in said.text.casefold()
    if check.matches is not None:
        return re.search(check.matches, said.text) is not None
    if check.includes is not None:
        return includes(said.value, check.includes)
    if isinstance(check.equals, str):
        return check.equals.strip().casefold() == str(said.value).strip().casefold()
    value = said.value
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return False
    return _same(value, check.equals)


def includes(value: Any, part: Any) -> bool:
    """Is `part` in `value`: every key of an object with a value that includes it, every item of a list in any
    place; anything else is equal."""
    if isinstance(part, Mapping):
        return isinstance(value, Mapping) and all(
            key in value and includes(value[key], inner) for key, inner in part.items()
        )
    if isinstance(part, list | tuple):
        return isinstance(value, list) and all(any(includes(v, item) for v in value) for item in part)
    return _same(value, part)


def _same(value: Any, expected: Any) -> bool:
    """Equal as JSON: 1 is 1.0, but true is not 1."""
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(expected, Mapping):
        return isinstance(value, Mapping) and value.keys() == expected.keys() and includes(value, expected)
    if isinstance(expected, list | tuple):
        return (
            isinstance(value, list)
            and len(value) == len(expected)
            and all(_same(one, other) for one, other in zip(value, expected, strict=True))
        )
    return bool(value == expected)
