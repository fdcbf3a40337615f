"""Spaces: samples obey the schema, equality is by content, and batching works."""

import numpy as np
import pytest
from gymnasium.vector.utils import batch_space
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from trace_gym.core.action import Action, ToolSpec
from trace_gym.environment.spaces import ActionSpace, UnicodeText, sample_json

bounds = st.integers(-50, 50)


@st.composite
def numbers(draw):
    kind = draw(st.sampled_from(["integer", "number"]))
    low = draw(bounds)
    width = draw(st.integers(2, 1000))
    schema = {"type": kind}
    keys = draw(st.sets(st.sampled_from(["low", "high"])))
    if "low" in keys:
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if "high" in keys:
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + width
    return schema


leaves = (
    numbers()
    | st.just({"type": "boolean"})
    | st.just({"type": "null"})
    | st.just({})
    | st.just({"const": [1, "a"]})
    | st.just({"enum": ["a", 2, None]})
    | st.just({"type": ["string", "null"]})
    | st.just({"type": "string", "pattern": "^ab+$", "examples": ["abb"]})
    | st.builds(
        lambda low, extra: {"type": "string", "minLength": low, "maxLength": low + extra},
        st.integers(0, 20),
        st.integers(0, 20),
    )
)


def compound(inner):
    return (
        st.builds(
            lambda item, low, extra: {
                "type": "array",
                "items": item,
                "minItems": low,
                "maxItems": low + extra,
            },
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        )
        | st.builds(lambda a, b: {"type": "array", "prefixItems": [a, b], "items": False}, inner, inner)
        | st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner)
        | st.builds(
            lambda a, b: {
                "type": "object",
                "properties": {"a": a, "b": b},
                "required": ["b"],
                "additionalProperties": False,
            },
            inner,
            inner,
        )
        | st.builds(lambda a: {"type": "object", "additionalProperties": a, "minProperties": 2}, inner)
    )


schemas = st.recursive(leaves, compound, max_leaves=8)


def test_additional_names_are_as_many_as_asked_for():
    schema = {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 2}
    sizes = [len(sample_json(schema, np.random.default_rng(seed))) for seed in (3186, 6391, 12225, 13467)]
    assert min(sizes) == 2


@settings(deadline=None, max_examples=300)
@given(schemas, st.integers(0, 2**32))
def test_samples_fit_their_schema(schema, seed):
    Draft202012Validator(schema).validate(sample_json(schema, np.random.default_rng(seed)))


def test_references_and_multiples_are_followed():
    schema = {
        "type": "object",
        "properties": {"level": {"$ref": "#/$defs/Level"}, "both": {"allOf": [{"$ref": "#/$defs/Level"}]}},
        "required": ["level", "both"],
        "$defs": {"Level": {"type": "integer", "minimum": 10, "maximum": 30, "multipleOf": 10}},
    }
    rng = np.random.default_rng(0)
    drawn = {value for _ in range(60) for value in sample_json(schema, rng).values()}
    assert drawn == {10, 20, 30}


def test_huge_integer_ranges_and_distinct_items():
    rng = np.random.default_rng(0)
    wide = {"type": "integer", "minimum": -(2**70), "maximum": 2**70}
    assert all(-(2**70) <= sample_json(wide, rng) <= 2**70 for _ in range(50))
    distinct = {
        "type": "array",
        "items": {"type": "boolean"},
        "uniqueItems": True,
        "minItems": 2,
        "maxItems": 2,
    }
    assert {tuple(sample_json(distinct, rng)) for _ in range(50)} == {(True, False), (False, True)}


def test_recursive_schemas_and_empty_lists_end():
    tree = {
        "$ref": "#/$defs/Tree",
        "$defs": {
            "Tree": {
                "anyOf": [
                    {"type": "array", "items": {"$ref": "#/$defs/Tree"}, "minItems": 2},
                    {"type": "integer"},
                ]
            }
        },
    }
    rng = np.random.default_rng(0)
    for _ in range(100):
        Draft202012Validator(tree).validate(sample_json(tree, rng))
    assert sample_json({"type": "array", "items": False}, rng) == []
    assert len(sample_json({"type": "array", "maxItems": 10**9, "minItems": 1}, rng)) <= 4


def spec(name="move", **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return ToolSpec(name, "A tool.", {**schema, "additionalProperties": False})


MOVE = spec(steps={"type": "integer", "minimum": 1, "maximum": 3}, where={"enum": ["left", "right"]})


def test_actions_cover_every_choice_and_messages():
    space = ActionSpace([MOVE, spec("stop")], seed=0)
    samples = [space.sample() for _ in range(400)]
    calls = [call for action in samples for call in action.calls]
    moves = {(c.arguments["steps"], c.arguments["where"]) for c in calls if c.name == "move"}
    assert moves == {(s, w) for s in (1, 2, 3) for w in ("left", "right")}
    assert {len(action.calls) for action in samples} == {0, 1, 2}
    assert all(sample in space for sample in samples)
    assert space.from_jsonable(space.to_jsonable(samples)) == samples


def test_the_shares_of_messages_and_double_calls_are_options():
    never = ActionSpace([MOVE], messages=0.0, several=0.0, seed=0)
    assert {len(never.sample().calls) for _ in range(50)} == {1}
    only = ActionSpace([], seed=0)
    assert all(only.sample().message is not None for _ in range(5))


@pytest.mark.parametrize(
    ("action", "inside"),
    [
        ("hello", True),
        (Action.call("move", steps=1, where="left"), True),
        ('{"name": "move", "arguments": {"steps": 1, "where": "left"}}', True),
        (Action.call("move", steps=4, where="left"), False),
        (Action.call("move", steps=True, where="left"), False),
        (Action.call("fly"), False),
        ("{", False),
        (None, False),
    ],
)
def test_containment(action, inside):
    assert (action in ActionSpace([MOVE])) is inside


def test_the_same_seed_draws_the_same_actions():
    one, two = ActionSpace([MOVE], seed=3), ActionSpace([MOVE])
    two.seed(3)
    assert [one.sample() for _ in range(20)] == [two.sample() for _ in range(20)]


def test_equality_is_by_content():
    assert ActionSpace([MOVE], seed=1) == ActionSpace([MOVE], messages=0.5)
    assert ActionSpace([MOVE]) != ActionSpace([spec("stop")])
    assert UnicodeText() == UnicodeText()
    assert UnicodeText() != ActionSpace([])


def test_batches_draw_different_actions():
    drawn = batch_space(ActionSpace([MOVE], seed=0), 20).sample()
    assert len(drawn) == 20
    assert len({str(action) for action in drawn}) > 3


def test_a_tool_that_cannot_be_sampled_is_named():
    impossible = spec("odd", code={"type": "string", "pattern": "^[0-9]{40}$"})
    with pytest.raises(ValueError, match="tool 'odd' could be drawn; give `examples`"):
        ActionSpace([impossible], messages=0.0, seed=0).sample()


def test_masks_are_refused():
    with pytest.raises(ValueError, match="neither a mask"):
        ActionSpace([MOVE]).sample(mask=1)
    with pytest.raises(ValueError, match="neither a mask"):
        UnicodeText().sample(probability=1)


def test_text_is_any_string():
    space = UnicodeText()
    space.seed(0)
    assert all(space.sample() in space for _ in range(50))
    assert "\ud800" in space
    assert b"a" not in space
