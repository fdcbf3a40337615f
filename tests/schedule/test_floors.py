"""Floors: a suite that a rule takes for hopeless keeps its part of the roots; nobody else is disturbed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig
from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.catalogue import make, names
from trace_gym.schedule.floors import choose_above
from trace_gym.schedule.trace import TraceRoots

GOOD, HOPELESS, SOLVED = 0.5, 0.0, 1.0


def pool(**values: float) -> list[Candidate]:
    """Ten candidates of each suite, of one predicted success a suite."""
    told = [(suite, value) for suite, value in values.items() for _ in range(10)]
    return [Candidate(i, f"{s}/{i}", s, f"f{i}", 5, Prediction(v)) for i, (s, v) in enumerate(told)]


def roots(
    floors: Mapping[str, float], candidates: Sequence[Candidate], limit: int | None = 20
) -> Mapping[str, int]:
    """Roots by suite that TRACE chooses."""
    rule = TraceRoots(20 if limit is None else None)
    chosen = choose_above(floors, rule, candidates, limit, step=0, rng=np.random.default_rng(0))
    assert len({choice.place for choice in chosen}) == len(chosen)
    suites = {candidate.index: candidate.suite for candidate in candidates}
    got: Counter[str] = Counter()
    for choice in chosen:
        got[suites[choice.place]] += choice.count
    return got


def test_without_floors_what_seems_hopeless_or_solved_gets_nothing() -> None:
    assert roots({}, pool(a=GOOD, b=HOPELESS, c=SOLVED)) == {"a": 20}


def test_floors_are_kept_and_the_rest_goes_where_the_rule_wants_it() -> None:
    """Of 20 roots a quarter is 5 and .35 is 7."""
    assert roots({"b": 0.25, "c": 0.35}, pool(a=GOOD, b=HOPELESS, c=SOLVED)) == {"a": 8, "b": 5, "c": 7}


def test_floors_hold_for_a_rule_that_bounds_itself() -> None:
    assert roots({"b": 0.25}, pool(a=GOOD, b=HOPELESS), limit=None) == {"a": 15, "b": 5}


def test_floors_are_parts_of_what_a_rule_would_place_not_of_what_the_budget_pays() -> None:
    """TRACE wants 16 of the 160 roots that are paid for, of which .3 are 4; whole groups of 4 make 8 of 9."""
    candidates, purse = pool(a=GOOD, b=SOLVED), Budget(trajectories=480)
    for name, options, least in (
        ("trace", {"roots": 16}, {"a": 12, "b": 4}),
        ("pcl", {"n": 4, "prompts": 8}, {"a": 20, "b": 8}),
        ("vip", {"n": 4, "prompts": 8}, {"a": 20, "b": 8}),
    ):
        got: Counter[str] = Counter()
        for grant in make(name, {**options, "floors": {"b": 0.3}}, seed=0).propose(candidates, purse):
            got[candidates[grant.anchor.tree].suite] += grant.count
        assert got == least, name


def test_a_floor_that_is_met_changes_no_choice() -> None:
    candidates, rule = pool(a=GOOD, b=GOOD), TraceRoots()
    free = rule.choose(candidates, 20, step=0, rng=np.random.default_rng(0))
    again = choose_above({"b": 0.1}, rule, candidates, 20, step=0, rng=np.random.default_rng(0))
    assert again == free


def test_lifting_one_suite_may_push_another_below_its_floor() -> None:
    """Alone a and b share 20; once c has taken 10 of them, b would have 4 of the 5 that it must have."""
    candidates = [*pool(a=GOOD, b=GOOD, c=HOPELESS)]
    candidates = [c for c in candidates if c.suite != "b" or c.index < 12]
    got = roots({"b": 0.25, "c": 0.5}, candidates)
    assert got["c"] == 10
    assert got["b"] >= 5
    assert sum(got.values()) == 20


def test_a_suite_that_has_no_candidate_holds_nothing_back() -> None:
    assert roots({"elsewhere": 0.5}, pool(a=GOOD)) == {"a": 20}


def test_floors_of_everything_leave_the_others_nothing() -> None:
    assert roots({"b": 1.0}, pool(a=GOOD, b=HOPELESS)) == {"b": 20}


@pytest.mark.parametrize("name", names())
def test_every_method_keeps_floors(name: str) -> None:
    """Also those that are asked again and those that draw: but for what whole groups make of it, no suite is
    below its part of the first roots, and no fewer are granted."""
    candidates = pool(a=GOOD, b=HOPELESS, c=SOLVED)
    purse = Budget(trajectories=120)
    free = make(name, {}, seed=0).propose(candidates, purse)
    grants = make(name, {"floors": {"b": 0.3, "c": 0.3}}, seed=0).propose(candidates, purse)
    got: Counter[str] = Counter()
    for grant in grants:
        got[candidates[grant.anchor.tree].suite] += grant.count
    total, group = sum(grant.count for grant in free), max(grant.count for grant in grants)
    assert min(got["b"], got["c"]) > 0.3 * total - group
    assert sum(got.values()) > total - 3 * group


@pytest.mark.parametrize(
    ("floors", "said"),
    [({"a": 1.5}, "must lie in \\[0, 1\\], got 1.5"), ({"a": 0.6, "b": 0.6}, "add up to 1.2, more than")],
)
def test_floors_that_cannot_be_are_refused(floors: Mapping[str, float], said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        make("trace", {"floors": floors}, seed=0)


def test_the_queue_takes_no_floors() -> None:
    with pytest.raises(BadConfig, match="set queue = false"):
        make("trace_plus", {"floors": {"a": 0.5}, "queue": True}, seed=0)
