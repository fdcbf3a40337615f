"""A mean over tasks that come in families, and how sure it is. Leaves out what the numbers per task mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, sqrt

import numpy as np
from scipy import stats

LEAST_CLUSTERS = 10
ROUNDING = 1e-9
"""An error below this is none: values that differ only as floating point does."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with a 95 % interval and its standard error; `clusters` independent units of `unit` (family,
    task or attempt) carry it. All None where there was nothing to measure."""

    mean: float | None
    low: float | None
    high: float | None
    clusters: int
    unit: str
    error: float | None = None

    def json(self) -> dict[str, float | int | str | None]:
        """The fields by name."""
        return {
            "mean": self.mean,
            "low": self.low,
            "high": self.high,
            "clusters": self.clusters,
            "unit": self.unit,
            "error": self.error,
        }


NOTHING = Interval(None, None, None, 0, "family")
"""What is known where nothing was measured."""


def clustered(values: Mapping[str, float], families: Mapping[str, str]) -> tuple[dict[str, list[float]], str]:
    """The values by cluster, and what a cluster is: a family, or below ten families a task."""
    by_family = len({families[task] for task in values}) >= LEAST_CLUSTERS
    groups: dict[str, list[float]] = {}
    for task, value in values.items():
        groups.setdefault(families[task] if by_family else task, []).append(value)
    return groups, "family" if by_family else "task"


def robust_error(groups: Mapping[str, Sequence[float]], mean: float) -> float:
    """The cluster-robust standard error of a mean over n values in C >= 2 clusters (Liang and Zeger 1986):
    its square is sum_c (sum_{i in c} (x_i - mean))^2 / n^2 * C/(C-1)."""
    n, clusters = sum(map(len, groups.values())), len(groups)
    sums = [sum(values) - len(values) * mean for values in groups.values()]
    return sqrt(sum(s * s for s in sums) / n**2 * clusters / (clusters - 1))


def mean_interval(
    values: Mapping[str, float], families: Mapping[str, str], *, level: float = 0.95
) -> Interval:
    """The mean of `values[task]`, each in [0, 1], with an interval clustered by `families[task]`.

    It is Wilson's with the effective sample size p(1-p)/error^2 and Student's quantile for C-1 degrees of
    freedom: it stays inside [0, 1] and has width at 0 and 1. Where all tasks are alike, which shows nothing
    of how families differ, the sample is as large as there are clusters.
    """
    if not values:
        return NOTHING
    groups, unit = clustered(values, families)
    mean, clusters = float(np.mean(list(values.values()))), len(groups)
    if clusters < 2:
        return Interval(mean, 0.0, 1.0, clusters, unit)
    error = robust_error(groups, mean)
    effective = mean * (1 - mean) / error**2 if error > ROUNDING else float(clusters)
    low, high = wilson(mean, effective, float(stats.t.ppf(0.5 + level / 2, clusters - 1)))
    return Interval(mean, low, high, clusters, unit, error)


def success_interval(
    attempts: Mapping[str, Sequence[bool]], families: Mapping[str, str], *, level: float = 0.95
) -> Interval:
    """Mean success over tasks (each task weighs the same, however often it was tried) with its interval;
    `attempts[task]` are outcomes."""
    means = {task: float(np.mean(results)) for task, results in attempts.items() if len(results)}
    return mean_interval(means, families, level=level)


def wilson(mean: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's score interval (1927) for a proportion `mean` of `n` observations, n a real number."""
    square = quantile * quantile / n
    centre = (mean + square / 2) / (1 + square)
    half = quantile * sqrt(mean * (1 - mean) / n + square / (4 * n)) / (1 + square)
    return (centre - half if mean > 0 else 0.0), (centre + half if mean < 1 else 1.0)


def ratio_interval(
    parts: Mapping[str, tuple[float, float]], families: Mapping[str, str], *, level: float = 0.95
) -> Interval:
    """Sum of the first over sum of the second of `parts[task]`, such as cost per success, with an interval
    clustered by family; nothing where the second sum is 0, no bounds where all tasks have the same ratio.

    The error is linearised: that of the mean of (a_i - r b_i) / mean(b); the interval is Student's on the
    logarithm of the ratio, so it stays positive.
    """
    below = sum(b for _, b in parts.values())
    if below <= 0:
        return NOTHING
    ratio = sum(a for a, _ in parts.values()) / below
    residuals = {task: a - ratio * b for task, (a, b) in parts.items()}
    groups, unit = clustered(residuals, families)
    if len(groups) < 2 or ratio <= 0:
        return Interval(ratio, None, None, len(groups), unit)
    error = robust_error(groups, 0.0) * len(parts) / below
    if error <= ROUNDING * ratio:
        return Interval(ratio, None, None, len(groups), unit)
    half = float(stats.t.ppf(0.5 + level / 2, len(groups) - 1)) * error / ratio
    return Interval(ratio, ratio * exp(-half), ratio * exp(half), len(groups), unit, error)


def weighted_interval(parts: Sequence[tuple[float, Interval]]) -> Interval:
    """The weighted mean of independent measurements (weight, interval), such as the suites of a benchmark.
    Nothing where one of them has no error to go by.

    The bounds are recovered from those of the parts (MOVER, Zou and Donner 2008): with shares w_i,
    `low = mean - sqrt(sum (w_i (mean_i - low_i))^2)`, and `high` likewise. So a part that is small, or all
    alike and therefore without an error, is as uncertain here as it is by itself.
    """
    total = sum(weight for weight, _ in parts)
    known = [
        (weight / total, i.mean, i.mean - i.low, i.high - i.mean, i.error)
        for weight, i in parts
        if i.mean is not None and i.low is not None and i.high is not None and i.error is not None
    ]
    if not parts or len(known) < len(parts):
        return NOTHING
    mean = sum(share * m for share, m, *_ in known)
    below = sqrt(sum((share * down) ** 2 for share, _, down, _, _ in known))
    above = sqrt(sum((share * up) ** 2 for share, _, _, up, _ in known))
    error = sqrt(sum((share * e) ** 2 for share, *_, e in known))
    clusters = sum(i.clusters for _, i in parts)
    return Interval(mean, max(0.0, mean - below), min(1.0, mean + above), clusters, "cluster", error)
