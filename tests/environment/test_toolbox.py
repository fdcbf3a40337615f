"""The toolbox: valid calls come out as plain copies, anything else is refused in exact words."""

import copy
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.environment.toolbox import MAX_DEPTH, MAX_VALUES, Toolbox, brief, flaw, shown, usage
from trace_gym.environment.tools import ToolError

SEARCH = ToolSpec(
    "search",
    "Search.",
    {
        "type": "object",
        "properties": {
            "query": {"type": "string", "minLength": 1},
            "limit": {"type": "integer", "minimum": 1, "maximum": 50},
            "kind": {"enum": ["page", "image"]},
            "weight": {"type": "number"},
            "exact": {"type": "boolean"},
            "where": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "filters": {
                "type": "object",
                "properties": {"year": {"type": "integer"}},
                "required": ["year"],
                "additionalProperties": False,
            },
        },
        "required": ["query"],
        "additionalProperties": False,
    },
)
READ = ToolSpec("read", "Read.", {"type": "object", "properties": {}, "additionalProperties": True})
BOX = Toolbox([SEARCH, READ])


def refusal(name, arguments):
    with pytest.raises(ToolError) as caught:
        BOX.arguments(ToolCall(name, arguments))
    return str(caught.value)


def test_valid_arguments_come_out_as_a_deep_copy():
    given_arguments = {"query": "a", "filters": {"year": 1999}, "weight": 2}
    out = BOX.arguments(ToolCall("search", given_arguments))
    assert out == given_arguments
    out["filters"]["year"] = 0
    assert given_arguments["filters"]["year"] == 1999


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "search: missing argument 'query'. Usage: search(query: string, limit?: integer,"),
        ({"query": 3}, "argument 'query' must be a string, got 3"),
        ({"query": ""}, "argument 'query' breaks minLength 1: ''"),
        ({"query": "a", "limt": 3}, "unknown argument 'limt', did you mean 'limit'?"),
        ({"query": "a", "zzz": 3}, "unknown argument 'zzz'; known: query, limit,"),
        ({"query": "a", "limit": True}, "argument 'limit' must be an integer, got true"),
        ({"query": "a", "limit": 3.0}, "argument 'limit' must be an integer, got 3.0"),
        ({"query": "a", "limit": 51}, "argument 'limit' must be at most 50, got 51"),
        ({"query": "a", "kind": "film"}, "argument 'kind' must be one of 'page', 'image'; got 'film'"),
        ({"query": "a", "weight": True}, "argument 'weight' must be a number, got true"),
        ({"query": "a", "where": 3}, "argument 'where' must be string or null, got 3"),
        ({"query": "a", "filters": {}}, "missing argument 'year' in argument 'filters'"),
        ({"query": "a", "filters": {"year": "x"}}, "argument 'filters.year' must be an integer, got 'x'"),
        ({"query": "a", "weight": float("nan")}, "argument 'weight' is not a finite number below 1e308: NaN"),
        ({"query": "a", "limit": 10**5000}, "is not a finite number below 1e308: an integer of 16610 bits"),
        ({"query": "\udcff"}, "argument 'query' is not valid Unicode text: U+DCFF at position 0"),
        ({"query": b"a"}, "argument 'query' is not JSON data: a bytes"),
        ({"query": {1: 2}}, "names must be strings, got 1"),
        ({3: 2}, "argument names must be strings, got 3"),
        ({"query": "x" * 2_000_000}, "argument 'query' is longer than 1000000 characters"),
    ],
)
def test_a_bad_call_is_refused_in_exact_words(arguments, words):
    assert words in refusal("search", arguments)


def test_an_unknown_tool_is_answered_with_the_nearest_and_the_list():
    assert refusal("serch", {}) == "There is no tool 'serch'. Did you mean 'search'? Tools: search, read."
    assert refusal("\ud800" * 10_000, {}).endswith(". Tools: search, read.")
    assert len(refusal("\ud800" * 10_000, {})) < 200


@pytest.mark.parametrize("call", [ToolCall(["a"]), ToolCall(3), ToolCall("read", [1])])
def test_a_call_of_the_wrong_shape_is_refused(call):
    with pytest.raises(ToolError, match="needs a tool's name and its arguments"):
        BOX.arguments(call)


def test_depth_and_size_are_bounded():
    def nested(depth):
        value = 1
        for _ in range(depth):
            value = [value]
        return {"a": value}

    assert BOX.arguments(ToolCall("read", nested(MAX_DEPTH - 1))) == nested(MAX_DEPTH - 1)
    assert f"more than {MAX_DEPTH} levels" in refusal("read", nested(MAX_DEPTH))
    assert f"more than {MAX_DEPTH} levels" in refusal("read", nested(100_000))
    assert BOX.arguments(ToolCall("read", {"a": [0] * (MAX_VALUES - 1)}))["a"][0] == 0
    assert f"more than {MAX_VALUES} values" in refusal("read", {"a": [0] * MAX_VALUES})
    assert f"more than {MAX_VALUES} values" in refusal("read", {str(i): i for i in range(MAX_VALUES + 1)})


def test_names_must_differ():
    with pytest.raises(ValueError, match="tool names must differ"):
        Toolbox([SEARCH, SEARCH])


def test_a_used_toolbox_can_be_pickled_and_copied():
    BOX.arguments(ToolCall("search", {"query": "a"}))
    for twin in (pickle.loads(pickle.dumps(BOX)), copy.deepcopy(BOX)):
        assert twin.specs == BOX.specs
        assert twin.arguments(ToolCall("search", {"query": "a"})) == {"query": "a"}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (ToolSpec("t", "T.", {"type": "objekt"}), "tool 't' has an invalid schema: 'objekt'"),
        (
            ToolSpec("t", "T.", {"type": "string"}),
            "tool 't': the schema of its parameters must be of type object",
        ),
        (ToolSpec("t", " ", {"type": "object"}), "tool 't' has no description"),
    ],
)
def test_a_flawed_specification_is_explained(spec, reason):
    assert flaw(spec).startswith(reason)
    assert flaw(SEARCH) is None


def test_usage_and_brief():
    assert usage(READ) == "read()"
    assert "kind?: 'page' | 'image'" in usage(SEARCH)
    assert "where?: string or null" in usage(SEARCH)
    assert brief(Action.call("read", page=3)) == "read(page=3)"
    assert brief(Action(message="hello")) == "'hello'"
    assert brief(Action(error="cut")) == "'cut'"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
        | st.tuples(inner)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(["query", "limit", "filters", "x", "\ud800"]), anything, max_size=4))
def test_whatever_comes_is_refused_or_is_plain_json(arguments):
    for name in ("search", "read"):
        refused, out = "", {}
        try:
            out = BOX.arguments(ToolCall(name, arguments))
        except ToolError as error:
            refused = str(error)
        assert json.loads(json.dumps(out, allow_nan=False)) == out
        assert refused.encode("utf-8").startswith(name.encode()) or out.keys() == arguments.keys()


@given(anything)
def test_shown_is_short_and_printable(value):
    assert len(shown(value)) <= 80
    shown(value).encode("utf-8")
