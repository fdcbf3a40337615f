"""Lines are read and written by hand-worked tables, and every valid call survives the round trip."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.core.action import ToolCall, ToolSpec
from trace_gym.environment.spaces import ActionSpace
from trace_gym_agents.jsontext import read_json
from trace_gym_agents.line import parse_line, spell_line


def spec(name: str = "t", required: tuple[str, ...] | None = None, /, **properties: Any) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return ToolSpec(
        name, "A tool.", {**schema, "required": list(properties if required is None else required)}
    )


STRING, INTEGER, NUMBER, BOOLEAN = ({"type": t} for t in ("string", "integer", "number", "boolean"))
OPEN = spec("open", page=INTEGER)
SEARCH = spec("search", ("query",), query=STRING, limit=INTEGER)
MOVE = spec("move", source=STRING, target=STRING)
MIXED = spec("mixed", flag=BOOLEAN, share=NUMBER, tags={"type": "array"}, text=STRING)
EITHER = spec("close", ticket={"type": ["integer", "string"]})
MAYBE = spec("maybe", value={"anyOf": [{"type": "integer"}, {"type": "null"}]})
ENUM = ToolSpec(
    "paint",
    "Paint.",
    {
        "type": "object",
        "properties": {"colour": {"$ref": "#/$defs/Colour"}},
        "required": ["colour"],
        "$defs": {"Colour": {"enum": ["red", "3"]}},
    },
)

TABLE = [
    (OPEN, "open 3", {"page": 3}),
    (OPEN, "open -3", {"page": -3}),
    (SEARCH, "search red fox", {"query": "red fox"}),
    (SEARCH, "search limit=5 red fox", {"query": "red fox", "limit": 5}),
    (SEARCH, 'search "limit=5 red fox"', {"query": "limit=5 red fox"}),
    (SEARCH, "search 5", {"query": "5"}),
    (SEARCH, 'search "\\"quoted\\""', {"query": '"quoted"'}),
    (SEARCH, 'search " edge "', {"query": " edge "}),
    (SEARCH, 'search ""', {"query": ""}),
    (SEARCH, 'search "two\\nlines"', {"query": "two\nlines"}),
    (MOVE, "move a.txt b c.txt", {"source": "a.txt", "target": "b c.txt"}),
    (MOVE, 'move "a b" c', {"source": "a b", "target": "c"}),
    (MOVE, "move target=c", {"target": "c"}),
    (
        MIXED,
        'mixed true 0.5 ["a b",1] so it is',
        {"flag": True, "share": 0.5, "tags": ["a b", 1], "text": "so it is"},
    ),
    (EITHER, "close 7", {"ticket": 7}),
    (EITHER, 'close "7"', {"ticket": "7"}),
    (EITHER, "close ticket_001", {"ticket": "ticket_001"}),
    (MAYBE, "maybe null", {"value": None}),
    (ENUM, "paint 3", {"colour": "3"}),
    (spec("ls"), "ls", {}),
    (spec("ls", (), all=BOOLEAN), "ls all=true", {"all": True}),
]


@pytest.mark.parametrize(("tool", "line", "arguments"), TABLE, ids=[line for _, line, _ in TABLE])
def test_a_line_and_its_call(tool: ToolSpec, line: str, arguments: dict[str, Any]) -> None:
    assert parse_line(line, tool) == ToolCall(tool.name, arguments)
    assert spell_line(ToolCall(tool.name, arguments), tool) == line


@pytest.mark.parametrize(
    ("tool", "line", "arguments"),
    [
        (OPEN, "open   page=3 ", {"page": 3}),
        (OPEN, "open three", {"page": "three"}),
        (OPEN, "open 3.5", {"page": "3.5"}),
        (OPEN, "open 3 4", {"page": "3 4"}),
        (OPEN, "open " + "9" * 5000, {"page": "9" * 5000}),
        (OPEN, "open " + "[" * 5000, {"page": "[" * 5000}),
        (OPEN, "open", {}),
        (SEARCH, 'search "red" fox', {"query": '"red" fox'}),
        (SEARCH, 'search "red', {"query": '"red'}),
        (spec("set", on=BOOLEAN), "set True", {"on": True}),
        (spec("weigh", kilos=NUMBER), "weigh NaN", {"kilos": "NaN"}),
        (spec("weigh", kilos=NUMBER), "weigh 1e999", {"kilos": "1e999"}),
    ],
)
def test_what_else_is_read(tool: ToolSpec, line: str, arguments: dict[str, Any]) -> None:
    assert parse_line(line, tool) == ToolCall(tool.name, arguments)


def test_too_much_is_said_to_be_too_much() -> None:
    assert parse_line("ls -a", spec("ls")) == "ls: '-a' is too much; it takes no more values"
    wrong = parse_line("ls yes", spec("ls", (), all=BOOLEAN))
    assert wrong == "ls: 'yes' is too much; optional values are named: all=…"


def test_an_argument_that_no_line_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="'pages' of 'open' cannot be written"):
        spell_line(ToolCall("open", {"pages": 3}), OPEN)
    with pytest.raises(ValueError, match="'a b' of 't' cannot be written"):
        spell_line(ToolCall("t", {"a b": 3}), spec("t", **{"a b": INTEGER}))


def test_a_call_without_its_spec_is_spelled_with_names() -> None:
    call = ToolCall("search", {"limit": 5, "query": "red fox"})
    assert spell_line(call) == 'search limit=5 query="red fox"'
    assert parse_line(spell_line(call), SEARCH) == call
    assert parse_line(spell_line(ToolCall("search", {"query": "5"})), SEARCH) == ToolCall(
        "search", {"query": "5"}
    )


TOOLS = {tool.name: tool for tool, _, _ in TABLE}


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_every_valid_call_survives(seed: int) -> None:
    space = ActionSpace(list(TOOLS.values()), messages=0.0, several=0.0, seed=seed)
    (call,) = space.sample().calls
    for line in (spell_line(call, TOOLS[call.name]), spell_line(call)):
        assert "\n" not in line
        assert parse_line(line, TOOLS[call.name]) == call


@given(st.text(), st.text())
@settings(max_examples=300, deadline=None)
def test_every_string_survives_in_any_place(first: str, second: str) -> None:
    for tool in (MOVE, spec("move", source={}, target={})):
        call = ToolCall("move", {"source": first, "target": second})
        assert parse_line(spell_line(call, tool), tool) == call
        assert parse_line(spell_line(call), tool) == call


@given(st.text(st.characters()), st.sampled_from(list(TOOLS.values())))
@settings(max_examples=300, deadline=None)
def test_any_line_is_read(text: str, tool: ToolSpec) -> None:
    found = parse_line(f"{tool.name} {text}", tool)
    assert isinstance(found, str) or found.name == tool.name


@pytest.mark.parametrize(
    "text", ["NaN", "-Infinity", "[1e999]", '"\\ud800"', "[" * 9000, "9" * 5000, "", "nul"]
)
def test_json_that_cannot_be_written_again_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(text)


def test_json_ends_where_it_ends() -> None:
    assert read_json('x {"a": 1} y', 2) == ({"a": 1}, 10)
