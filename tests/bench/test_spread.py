"""Intervals over seeds, by hand."""

import pytest

from trace_gym.bench.spread import seed_interval


def test_student_by_hand() -> None:
    """Deviation sqrt(2) of 1, 3; error 1; t(.975, 1) = 12.706."""
    low, high = seed_interval([1.0, 3.0])
    assert (low, high) == (pytest.approx(2 - 12.706, abs=1e-3), pytest.approx(2 + 12.706, abs=1e-3))
    assert seed_interval([1.0]) is None
    assert seed_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)
