"""Actions from whatever a caller or a model may send; nothing raises."""

import json
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_gym.core.action import Action, ToolCall

ONE = Action.call("look", at=3)
DEEP = reduce(lambda inner, _: [inner], range(100_000), [])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (ONE, ONE),
        ({"name": "look", "arguments": {"at": 3}}, ONE),
        ({"name": "look", "arguments": '{"at": 3}'}, ONE),
        ('{"name": "look", "arguments": {"at": 3}}', ONE),
        ({"tool_calls": [{"type": "function", "function": {"name": "look", "arguments": '{"at": 3}'}}]}, ONE),
        ([{"name": "look", "arguments": {"at": 3}}, {"name": "go"}], Action((*ONE.calls, ToolCall("go")))),
        ({"content": "hello"}, Action(message="hello")),
        ("plain words", Action(message="plain words")),
        ("", Action(message="")),
        ("42", Action(message="42")),
    ],
)
def test_shapes_that_are_understood(raw, expected):
    assert Action.parse(raw) == expected


def test_an_action_is_its_own_whatever_becomes_of_what_it_was_read_from():
    arguments = {"at": 3, "path": ["a", {"b": [1]}]}
    for raw in (
        {"name": "look", "arguments": arguments},
        [{"name": "look", "parameters": arguments}],
        {"tool_calls": [{"function": {"name": "look", "arguments": arguments}}]},
    ):
        parsed = Action.parse(raw)
        arguments["at"] = 4
        arguments["path"][1]["b"].append(2)
        assert parsed == Action.call("look", at=3, path=["a", {"b": [1]}])
        arguments |= {"at": 3, "path": ["a", {"b": [1]}]}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ('{"name": "look", ', "not valid JSON"),
        ({"arguments": {}}, "needs a string 'name'"),
        ({"name": "look", "arguments": "{oops"}, "arguments of 'look' are not valid JSON"),
        ({"name": "look", "arguments": [1]}, "must be an object; got list"),
        ([], "an action is a tool call or a message"),
        (3.5, "got float"),
        ([7], "got int"),
        ("[" * 100_000, "not valid JSON"),
        ({"name": "look", "arguments": {"at": DEEP}}, "arguments of 'look' are nested too deeply"),
    ],
)
def test_what_is_wrong_is_said(raw, reason):
    action = Action.parse(raw)
    assert not action.calls
    assert reason in action.error


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_nothing_raises_and_json_round_trips(raw):
    action = Action.parse(raw)
    if "NaN" not in json.dumps(action.json()):
        assert Action.parse(action.json()) == action


def test_an_empty_action_is_refused():
    with pytest.raises(ValueError, match="got none"):
        Action()
