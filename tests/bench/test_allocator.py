"""The allocator's benchmark measures what it says."""

import itertools

import pytest

from trace_gym.bench.allocator import run


def test_small_numbers_by_the_bound() -> None:
    """The optimum is met up to one unit, everything is spent, and the clock is the one given."""
    ticks = itertools.count()
    measured = run(500, 120, cap=6, repeats=2, small=40, prefixes=50, clock=lambda: float(next(ticks)))
    assert measured.spent == 120
    assert measured.exact
    assert -1e-9 <= measured.bound - measured.value <= measured.unit
    assert measured.worst_small <= 1e-9
    assert measured.seconds == measured.prefix_seconds == 1.0
    assert measured.json()["exact"] is True


def test_a_lone_root_is_the_parity_remainder() -> None:
    """One root cannot be bought: its unit is what the bound has more."""
    measured = run(10, 1, repeats=1, small=0, prefixes=1)
    assert measured.spent == 0
    assert measured.bound == pytest.approx(measured.unit)
    assert measured.exact


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        run(0, 10)
