"""Error bars for repeated attempts at tasks that come in families. Pure functions; no I/O, no run folders.

Attempts that are invalid or censored are left out by the caller: they are neither successes nor failures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from scipy import stats

LEAST_CLUSTERS = 10


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with a 95 % interval; `clusters` independent units of `unit` (family or task) carry it. All None
    where there was nothing to measure."""

    mean: float | None
    low: float | None
    high: float | None
    clusters: int
    unit: str

    def json(self) -> dict[str, float | int | str | None]:
        """The fields by name."""
        return {
            "mean": self.mean,
            "low": self.low,
            "high": self.high,
            "clusters": self.clusters,
            "unit": self.unit,
        }


def success_interval(
    attempts: Mapping[str, Sequence[bool]], families: Mapping[str, str], *, level: float = 0.95
) -> Interval:
    """Mean success over tasks (each task weighs the same) with an interval clustered by family.

    `attempts[task]` are outcomes, `families[task]` the task's family. Below ten families tasks are the
    clusters. The variance is the cluster-robust one of a mean, sum_c (sum_{i in c} (p_i - p))^2 / n^2 *
    C/(C-1) (Liang and Zeger 1986); the interval is Wilson's with the effective sample size p(1-p)/variance
    and Student's quantile for C-1 degrees of freedom: it stays inside [0, 1] and has width at 0 and 1.
    """
    scores = {task: float(np.mean(results)) for task, results in attempts.items() if len(results)}
    if not scores:
        return Interval(None, None, None, 0, "family")
    by_family = len({families[task] for task in scores}) >= LEAST_CLUSTERS
    unit = "family" if by_family else "task"
    n, mean = len(scores), float(np.mean(list(scores.values())))
    sums: dict[str, float] = {}
    for task, score in scores.items():
        cluster = families[task] if by_family else task
        sums[cluster] = sums.get(cluster, 0.0) + score - mean
    clusters = len(sums)
    if clusters < 2:
        return Interval(mean, 0.0, 1.0, clusters, unit)
    variance = sum(s * s for s in sums.values()) / n**2 * clusters / (clusters - 1)
    effective = mean * (1 - mean) / variance if variance > 0 else float(n)
    quantile = float(stats.t.ppf(0.5 + level / 2, clusters - 1))
    low, high = wilson(mean, effective, quantile)
    return Interval(mean, low, high, clusters, unit)


def wilson(mean: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's score interval (1927) for a proportion `mean` of `n` observations, n a real number."""
    square = quantile * quantile / n
    centre = (mean + square / 2) / (1 + square)
    half = quantile * sqrt(mean * (1 - mean) / n + square / (4 * n)) / (1 + square)
    return (centre - half if mean > 0 else 0.0), (centre + half if mean < 1 else 1.0)


def pass_at(k: int, attempts: Sequence[Sequence[bool]]) -> float | None:
    """Unbiased pass@k (Chen et al. 2021, arXiv 2107.03374, equation 1), averaged over tasks with at least k
    attempts; None if there is none."""
    if k < 1:
        raise ValueError(f"pass@k needs k >= 1, got {k}")
    values = [
        1 - comb(len(results) - sum(results), k) / comb(len(results), k)
        for results in attempts
        if len(results) >= k
    ]
    return float(np.mean(values)) if values else None
