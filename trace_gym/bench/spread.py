"""How sure figures are that come once a seed. Pure functions; leaves out what the figures are."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev

from scipy import stats


def seed_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float] | None:
    """Student's interval for the mean of independent values, one a seed; None for fewer than two."""
    if len(values) < 2:
        return None
    mean, error = fmean(values), stdev(values) / sqrt(len(values))
    half = float(stats.t.ppf(0.5 + level / 2, len(values) - 1)) * error
    return mean - half, mean + half
