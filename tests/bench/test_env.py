"""Steps a second, in both ways, on real suites."""

import pytest

from trace_gym.bench.env import run
from trace_gym.environment.registry import suite


def test_both_ways_take_the_same_number_of_steps() -> None:
    report = run([suite("guess"), suite("wikihop_compact")], count=4, episodes=12, repeats=1, seed=1)
    assert [(row.suite, row.way) for row in report.rows] == [
        (name, way) for name in ("guess", "wikihop_compact") for way in ("collector", "vector")
    ]
    for name in ("guess", "wikihop_compact"):
        collected, vectored = (row for row in report.rows if row.suite == name)
        assert collected.episodes == 12
        assert collected.steps <= vectored.steps < collected.steps + 4
        assert vectored.seconds > 0
        assert report.ratio(name) == pytest.approx(collected.rate / vectored.rate)
    assert set(report.json()["collector / vector"]) == {"guess", "wikihop_compact"}
