"""Tools: what becomes of a typed, documented method, and which methods are refused."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from trace_gym.environment.tools import ToolError, tool, tools_of


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    title: str
    x: float = 0.0


class Kitchen:
    @tool
    def cook(
        self,
        dish: str,
        minutes: Annotated[int, Field(ge=1, le=90)] = 10,
        heat: Literal["low", "high"] = "low",
        tags: list[str] | None = None,
    ) -> str:
        """Cook a dish.

        It may burn.

        Args:
            dish: What to cook.
            minutes (int): How long,
                in minutes.
            heat: How hot: low or high.
            tags: Labels.

        Returns:
            The smell.
        """
        return f"{dish} {minutes} {heat} {tags}"

    @tool
    def paint(self, colour: Colour, at: Point, when: date) -> str:
        """Paint a point.

        Args:
            colour: The colour.
            at: The place.
            when: The day.
        """
        return f"{type(colour).__name__} {at.title} {when.year}"

    @tool
    def wait(self) -> str:
        """Do nothing."""
        return ""

    def helper(self) -> str:
        return "no tool"


def test_a_method_becomes_a_specification():
    spec = tools_of(Kitchen)["cook"].spec
    assert (spec.name, spec.description) == ("cook", "Cook a dish. It may burn.")
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "dish": {"type": "string", "description": "What to cook."},
            "minutes": {
                "type": "integer",
                "minimum": 1,
                "maximum": 90,
                "default": 10,
                "description": "How long, in minutes.",
            },
            "heat": {
                "type": "string",
                "enum": ["low", "high"],
                "default": "low",
                "description": "How hot: low or high.",
            },
            "tags": {
                "anyOf": [{"items": {"type": "string"}, "type": "array"}, {"type": "null"}],
                "default": None,
                "description": "Labels.",
            },
        },
        "required": ["dish"],
        "additionalProperties": False,
    }


def test_only_marked_methods_are_tools_in_order_of_definition():
    assert list(tools_of(Kitchen)) == ["cook", "paint", "wait"]
    assert tools_of(Kitchen)["wait"].spec.parameters == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }


def test_a_property_called_title_survives_the_removal_of_generated_titles():
    point = tools_of(Kitchen)["paint"].spec.parameters["$defs"]["Point"]
    assert set(point["properties"]) == {"title", "x"}
    assert "title" not in point


def test_arguments_left_out_keep_the_methods_defaults():
    assert tools_of(Kitchen)["cook"].convert({"dish": "soup", "heat": "high"}) == {
        "dish": "soup",
        "heat": "high",
    }


def test_arguments_become_the_annotated_types():
    given = {"colour": "red", "at": {"title": "home"}, "when": "2024-02-29"}
    values = tools_of(Kitchen)["paint"].convert(given)
    assert values == {"colour": Colour.RED, "at": Point(title="home"), "when": date(2024, 2, 29)}
    assert Kitchen().paint(**values) == "Colour home 2024"


def test_a_value_of_the_right_shape_without_meaning_is_refused_naming_the_argument():
    given = {"colour": "red", "at": {"title": "home"}, "when": "2023-02-29"}
    with pytest.raises(ToolError, match=r"paint: argument 'when': .*date"):
        tools_of(Kitchen)["paint"].convert(given)


def test_a_subclass_inherits_and_may_hide_tools():
    class Diner(Kitchen):
        def wait(self) -> str:
            return "hidden: not marked"

        @tool
        def serve(self) -> str:
            """Serve."""
            return ""

    assert list(tools_of(Diner)) == ["cook", "paint", "serve"]


class Unannotated:
    @tool
    def act(self, x) -> str:
        """Act.

        Args:
            x: Something.
        """
        return ""


class Undocumented:
    @tool
    def act(self, x: int) -> str:
        """Act."""
        return ""


class Overdocumented:
    @tool
    def act(self) -> str:
        """Act.

        Args:
            y: Not there.
        """
        return ""


class Silent:
    @tool
    def act(self) -> str:
        return ""


class ReturnsNumber:
    @tool
    def act(self) -> int:
        """Act."""
        return 1


class Variadic:
    @tool
    def act(self, **rest: Any) -> str:
        """Act.

        Args:
            rest: Whatever.
        """
        return ""


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        (Unannotated, r"Unannotated.act: parameter 'x' needs a type annotation"),
        (Undocumented, r"parameter 'x' is not described in the Args section"),
        (Overdocumented, r"Args section describes \['y'\], which it does not take"),
        (Silent, r"needs a docstring"),
        (ReturnsNumber, r"must be annotated to return str"),
        (Variadic, r"parameter 'rest' must be an ordinary named parameter"),
    ],
)
def test_a_method_that_cannot_be_described_is_refused(owner, reason):
    with pytest.raises(ValueError, match=reason):
        tools_of(owner)
