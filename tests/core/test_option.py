"""Options of parts are of the types that constructors declare: what passes, and what is said of the rest."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import pytest

from trace_gym.core.errors import BadConfig
from trace_gym.core.option import demand_kinds


class Way(StrEnum):
    BARE = "bare"
    OWN = "own"


class Part:
    def __init__(
        self,
        inner: object = None,
        *,
        count: int = 1,
        most: int | None = None,
        share: float = 0.5,
        sure: bool = False,
        way: Way | str = Way.BARE,
        target: Literal["a", "b", "c"] = "a",
        prices: Mapping[str, float] | None = None,
    ) -> None:
        pass


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"count": -3, "most": None, "share": 2, "sure": True, "way": "own", "target": "c"},
        {"most": 4, "share": 0.25, "way": Way.OWN, "prices": {"tokens": 1, "seconds": 0.5}},
        {"inner": object(), "prices": None},
    ],
)
def test_what_the_constructor_declares_passes(options: dict[str, Any]) -> None:
    demand_kinds(Part, options, what="part")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 1.5}, "count must be a whole number, got 1.5"),
        ({"count": 2.0}, "count must be a whole number, got 2.0"),
        ({"count": True}, "count must be a whole number, got True"),
        ({"most": "four"}, "most must be a whole number, got 'four'"),
        ({"share": "half"}, "share must be a number, got 'half'"),
        ({"share": False}, "share must be a number, got False"),
        ({"share": float("nan")}, "share must be a number, got nan"),
        ({"share": float("inf")}, "share must be a number, got inf"),
        ({"sure": "False"}, "sure must be true or false, got 'False'"),
        ({"sure": 1}, "sure must be true or false, got 1"),
        ({"way": "backup"}, "way must be 'bare' or 'own', got 'backup'"),
        ({"target": "d"}, "target must be 'a', 'b' or 'c', got 'd'"),
        ({"prices": 3}, "prices must be a table, each of whose values is a number, got 3"),
        ({"prices": {"a": "b"}}, "prices must be a table, each of whose values is a number, got {'a': 'b'}"),
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadConfig) as refusal:
        demand_kinds(Part, options, what="part")
    assert str(refusal.value) == f"part: {said}"


def test_the_name_is_told_as_it_was_spelled() -> None:
    with pytest.raises(BadConfig, match="part: cut_share must be a number"):
        demand_kinds(Part, {"share": []}, what="part", prefix="cut_")


def test_types_that_only_checkers_know_are_no_obstacle() -> None:
    def part(count: "Elsewhere") -> None:  # type: ignore[name-defined]  # noqa: F821
        pass

    demand_kinds(part, {"count": 1.5}, what="part")
