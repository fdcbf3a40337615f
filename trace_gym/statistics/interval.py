"""A mean over tasks that come in families, and how sure it is. Leaves out what the numbers per task mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray
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


def freedom(groups: Mapping[str, Sequence[float]]) -> float:
    """Student's degrees of freedom for a mean over C clusters of n_c values: (sum n_c)^2 / sum n_c^2 - 1, the
    effective size of an unequally weighted sample (Kish 1965) less one. C-1 where all are of one size; where
    a few hold most of the values the error is learnt from those."""
    sizes = [len(values) for values in groups.values()]
    return sum(sizes) ** 2 / sum(size * size for size in sizes) - 1.0


def mean_interval(
    values: Mapping[str, float], families: Mapping[str, str], *, level: float = 0.95
) -> Interval:
    """The mean of `values[task]`, each in [0, 1], with an interval clustered by `families[task]`.

    It is Wilson's with the effective sample size p(1-p)/error^2 and Student's quantile for as much `freedom`
    as the clusters leave: it stays inside [0, 1] and has width at 0 and 1. Where all tasks are alike, which
    shows nothing of how families differ, the sample is as large as there are C clusters, the quantile that
    for C-1.
    """
    if not values:
        return NOTHING
    groups, unit = clustered(values, families)
    mean, clusters = float(np.mean(list(values.values()))), len(groups)
    if clusters < 2:
        return Interval(mean, 0.0, 1.0, clusters, unit)
    error = robust_error(groups, mean)
    effective, free = float(clusters), clusters - 1.0
    if error > ROUNDING:
        effective, free = mean * (1 - mean) / error**2, freedom(groups)
    low, high = wilson(mean, effective, float(stats.t.ppf(0.5 + level / 2, free)))
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
    low, high = (centre - half if mean > 0 else 0.0), (centre + half if mean < 1 else 1.0)
    return max(0.0, low), min(1.0, high)


def ratio_interval(
    parts: Mapping[str, tuple[float, float]], families: Mapping[str, str], *, level: float = 0.95
) -> Interval:
    """Sum of the first over sum of the second of `parts[task]`, such as cost per success, with an interval
    clustered by family; nothing where the second sum is 0, no bounds where all tasks have the same ratio or
    families weigh less than two of one size would.

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
    error, free = robust_error(groups, 0.0) * len(parts) / below, freedom(groups)
    if error <= ROUNDING * ratio or free < 1.0 - ROUNDING:
        return Interval(ratio, None, None, len(groups), unit)
    half = float(stats.t.ppf(0.5 + level / 2, free)) * error / ratio
    return Interval(ratio, ratio * exp(-half), ratio * exp(half), len(groups), unit, error)


def weighted_interval(
    parts: Sequence[tuple[float, Interval]], correlation: NDArray[np.float64] | None = None
) -> Interval:
    """The weighted mean of measurements (weight, interval), such as the suites of a benchmark; `correlation`
    (P, P) of the parts' means, None: they are independent. Nothing where one has no error to go by.

    The bounds are recovered from those of the parts (MOVER, Zou and Donner 2008): with shares w_i and
    d_i = w_i (mean_i - low_i), `low = mean - sqrt(sum_ij r_ij d_i d_j)`, and `high` likewise. So a part that
    is small, or all alike and therefore without an error, is as uncertain here as it is by itself.
    """
    total = sum(weight for weight, _ in parts)
    known = [
        (weight / total, i.mean, i.mean - i.low, i.high - i.mean, i.error)
        for weight, i in parts
        if i.mean is not None and i.low is not None and i.high is not None and i.error is not None
    ]
    if not parts or len(known) < len(parts):
        return NOTHING
    alike = np.eye(len(parts)) if correlation is None else correlation

    def joined(reaches: Sequence[float]) -> float:
        weighted = np.array([share * reach for (share, *_), reach in zip(known, reaches, strict=True)])
        return sqrt(float(weighted @ alike @ weighted))

    mean = sum(share * m for share, m, *_ in known)
    below, above, error = (joined([row[place] for row in known]) for place in (2, 3, 4))
    clusters = sum(i.clusters for _, i in parts)
    return Interval(mean, max(0.0, mean - below), min(1.0, mean + above), clusters, "cluster", error)


def weighted_success(
    parts: Sequence[tuple[float, Mapping[str, Sequence[bool]]]], families: Mapping[str, str]
) -> Interval:
    """`weighted_interval` of parts (weight, attempts), each as in `success_interval`. Parts clustered by the
    same families, as variants of the same tasks are, are not independent."""
    means = [
        {task: float(np.mean(results)) for task, results in attempts.items() if len(results)}
        for _, attempts in parts
    ]
    found = [mean_interval(values, families) for values in means]
    weighted = [(weight, interval) for (weight, _), interval in zip(parts, found, strict=True)]
    apart = [interval.unit != "family" for interval in found]
    whole = weighted_interval(weighted, _correlation(means, families, apart))
    names = {name for values in means for name in clustered(values, families)[0]}
    return whole if whole.mean is None else replace(whole, clusters=len(names))


def _correlation(
    parts: Sequence[Mapping[str, float]], families: Mapping[str, str], apart: Sequence[bool]
) -> NDArray[np.float64]:
    """Of the parts' means (P, P), from the residuals of each part summed by family; no less than 0. A part
    that is all alike shows nothing of it: 1 with those that share a family with it. What is `apart` is
    independent of all others."""
    places = {family: place for place, family in enumerate(dict.fromkeys(families.values()))}
    sums, there = np.zeros((len(parts), len(places))), np.zeros((len(parts), len(places)), dtype=bool)
    for number, values in enumerate(parts):
        mean = float(np.mean(list(values.values()))) if values else 0.0
        for task, value in values.items() if not apart[number] else ():
            sums[number, places[families[task]]] += value - mean
            there[number, places[families[task]]] = True
    norm = np.sqrt((sums**2).sum(axis=1))
    told = np.outer(norm > ROUNDING, norm > ROUNDING)
    shared = (there[:, None, :] & there[None, :, :]).any(axis=2)
    found = np.where(told, np.clip(sums @ sums.T, 0.0, None) / np.where(told, np.outer(norm, norm), 1.0), 1.0)
    found = np.where(shared, found, 0.0)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)
