"""Reading curves by hand: success at a cost, mixed prefixes."""

import pytest

from trace_gym.bench.curve import Point, mixed_prefixes, points, success_at
from trace_gym.testing import grow_forest


def point(success: float, tokens: float) -> Point:
    return Point(
        step=0,
        success=success,
        low=0.0,
        high=1.0,
        tokens=tokens,
        trajectories=tokens / 10,
        optimiser_steps=tokens / 100,
        turns=0.0,
        latency_s=2 * tokens,
        seconds=0.0,
    )


CURVE = [point(0.2, 0.0), point(0.4, 100.0), point(0.3, 200.0), point(0.6, 300.0)]


def test_success_at_a_cost_by_hand() -> None:
    assert [success_at(CURVE, cost, "tokens") for cost in (0, 50, 150, 300, 999)] == pytest.approx(
        [0.2, 0.3, 0.35, 0.6, 0.6]
    )


def test_points_travel_as_json() -> None:
    assert points([each.json() for each in CURVE]) == CURVE


def test_mixed_prefixes_by_hand() -> None:
    """Node 1 has a success and a failure under it, node 4 two failures, node 5 one leaf; roots do not
    count."""
    forest = grow_forest(["0 1 1 +", "1 1 -"], ["0 1 1 -", "1 1 -", "0 1 1 +"])
    assert mixed_prefixes(forest) == (1, 2)
    assert mixed_prefixes(grow_forest(["0 1 +"])) == (0, 0)
