"""Tools in one line, by a table."""

from __future__ import annotations

from typing import Any

import pytest

from trace_gym.core.action import ToolSpec
from trace_gym_agents.signature import signature, type_word

COLOURS = {"enum": ["red", "blue"]}


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"type": "string"}, "str"),
        ({"type": "number"}, "float"),
        ({"type": ["integer", "string"]}, "int|str"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int|null"),
        ({"type": "array", "items": {"type": "string"}}, "list[str]"),
        ({"type": "array"}, "list"),
        ({"type": "object", "properties": {"x": {"type": "integer"}}}, "{x: int}"),
        ({"type": "object"}, "dict"),
        ({"type": "string", **COLOURS}, '"red"|"blue"'),
        ({"enum": list(range(20))}, "0|1|2|3|4|5|6|7|…"),
        ({}, "any"),
        (True, "any"),
    ],
)
def test_a_schema_in_a_word(schema: Any, word: str) -> None:
    assert type_word(schema) == word


def test_a_tool_in_a_line() -> None:
    properties = {
        "city": {"type": "string"},
        "nights": {"type": "integer", "default": 2},
        "view": {"type": "string", "default": "sea"},
        "floor": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "note": {"type": "string"},
    }
    spec = ToolSpec("book", "Book.", {"type": "object", "properties": properties, "required": ["city"]})
    line = 'book(city: str, nights: int = 2, view: str = "sea", floor?: int|null, note?: str)'
    assert signature(spec) == line
    assert signature(ToolSpec("ls", "List.", {"type": "object"})) == "ls()"
