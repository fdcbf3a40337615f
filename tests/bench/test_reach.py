"""What part of the baseline's cost a method needs, by hand and over seeds."""

import pytest

from trace_gym.bench.curve import Point
from trace_gym.bench.reach import Reach, reach


def curve(*successes: float) -> list[Point]:
    """Evaluations 100 tokens apart."""
    return [Point(i, s, 0.0, 1.0, 100.0 * i, 0.0, 0.0, 0.0, 50.0 * i, 0.0) for i, s in enumerate(successes)]


BASE = {0: curve(0.1, 0.2, 0.5), 1: curve(0.1, 0.4, 0.7)}


def test_a_mean_curve_by_hand() -> None:
    """The mean curve .1, .5, .8 is at .6 after 100 + 1/3 of 100 of 200 tokens. A seed alone that gets there
    before the others is not what is asked for."""
    found = reach({0: curve(0.1, 0.4, 0.6), 1: curve(0.1, 0.6, 1.0)}, BASE, "tokens")
    assert found is not None
    assert found.share is not None
    assert found.share == pytest.approx((100 + 100 / 3) / 200)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.share <= found.high


def test_the_baseline_needs_all_of_its_cost() -> None:
    """With both seeds alike there is nothing between low and high."""
    same = {0: BASE[0], 1: BASE[0]}
    assert reach(same, same, "latency_s") == Reach(1.0, 1.0, 1.0, 2)


def test_what_is_never_reached_has_no_share() -> None:
    """Nor has the worse end of the interval where some resamples never get there."""
    assert reach({0: curve(0.1, 0.2)}, BASE, "tokens") == Reach(None, None, None, 1)
    half = reach({0: curve(0.1, 0.2, 0.3), 1: curve(0.1, 0.9, 0.9)}, BASE, "tokens")
    assert half is not None
    assert half.share is not None
    assert half.low is not None
    assert half.high is None


def test_there_is_nothing_to_reach() -> None:
    """No seed in common, a method that begins where the baseline ends, an axis without cost."""
    assert reach({7: curve(0.1, 0.5)}, BASE, "tokens") is None
    assert reach({0: curve(0.6, 0.7)}, BASE, "tokens") is None
    assert reach({0: curve(0.1, 0.7)}, BASE, "trajectories") is None


def test_what_costs_nothing_is_not_said_to_fall_short() -> None:
    """Imitation plays no trajectories: on that axis it can be at no part of what the baseline spent."""

    def played(start: float, end: float, trajectories: float) -> list[Point]:
        return [
            Point(0, start, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
            Point(1, end, 0.0, 1.0, 100.0, trajectories, 1.0, 0.0, 0.0, 0.0),
        ]

    base, imitation = {0: played(0.2, 0.5, 50.0)}, {0: played(0.2, 0.8, 0.0)}
    assert reach(imitation, base, "trajectories") is None
    found = reach(imitation, base, "tokens")
    assert found is not None
    assert found.share == pytest.approx(0.5)
