"""Two agents on the same tasks: the difference, how sure it is, and what it would take to be sure.

Leaves out where the numbers come from, and which comparisons belong together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from trace_gym.statistics.interval import ROUNDING, clustered, freedom, robust_error, wilson

EXACT = 14
"""Up to so many clusters all sign patterns are enumerated."""

AT_ONCE = 4_000_000
"""Signs that are drawn at once: thousands of clusters would otherwise take gigabytes."""

POWER = 0.8
SHARES = (("never solved", 0.0), ("hard", 1 / 3), ("middle", 2 / 3), ("easy", 1.0))


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of B minus A over `tasks` shared tasks with a 95 % interval and a permutation `p_value`.

    `smallest` is the difference that as many tasks would show at 5 % with probability 0.8 (None: so few
    clusters show none); `needed` says how many more tasks like these would show the difference seen here (0:
    these do; None: none was seen). Interval, p-value and plan are None below two clusters.
    """

    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    tasks: int
    clusters: int
    unit: str
    smallest: float | None
    needed: int | None

    def json(self) -> dict[str, float | int | str | None]:
        """The fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def paired(
    differences: Mapping[str, float],
    families: Mapping[str, str],
    *,
    level: float = 0.95,
    draws: int = 20_000,
    seed: int = 0,
) -> Difference:
    """What `differences[task]` say together. Raises ValueError for none.

    The interval is Student's with the cluster-robust error and its `freedom`; where all differences are the
    same, it allows for as large a share of tasks that differ as none of C clusters leaves open (Wilson's).
    The p-value is that of the sign-flip test: under the hypothesis that the agents are interchangeable, every
    cluster's sum of differences is as likely with either sign; two-sided, exact up to 14 clusters, else from
    `draws` patterns with the observed one counted among them (Phipson and Smyth 2010). Where d clusters
    differ it is at least 2^(1-d), which the plan allows for beside the normal approximation.
    """
    if not differences:
        raise ValueError("a paired comparison needs at least one shared task")
    groups, unit = clustered(differences, families)
    n, clusters = len(differences), len(groups)
    mean = float(np.mean(list(differences.values())))
    mean = mean if abs(mean) > ROUNDING else 0.0
    if clusters < 2:
        return Difference(mean, None, None, None, n, clusters, unit, None, None)
    error = robust_error(groups, mean)
    alike = error < ROUNDING
    quantile = float(stats.t.ppf(0.5 + level / 2, clusters - 1.0 if alike else freedom(groups)))
    unseen = wilson(0.0, clusters, quantile)[1] if alike else 0.0
    sums = np.array([sum(values) for values in groups.values()])
    reach = float(stats.norm.ppf(0.5 + level / 2) + stats.norm.ppf(POWER)) * error
    p_value = sign_flip(sums, draws=draws, seed=seed)
    fewest, differing = ceil(1 - log2(1 - level)), int(np.count_nonzero(np.abs(sums) > ROUNDING))
    needed = None
    if mean and differing:
        needed = max(0, ceil(n * max((reach / mean) ** 2, fewest / differing)) - n)
    smallest = reach if clusters >= fewest else None
    low = max(-1.0, mean - quantile * error - unseen * (1 + mean))
    high = min(1.0, mean + quantile * error + unseen * (1 - mean))
    return Difference(mean, low, high, p_value, n, clusters, unit, smallest, needed)


def sign_flip(sums: NDArray[np.float64], *, draws: int, seed: int) -> float:
    """The two-sided p-value of sum(sums) under independent random signs of the C entries of `sums` (C,)."""
    told = sums[sums != 0.0]
    if not len(told):
        return 1.0
    seen = abs(float(told.sum())) - 1e-9 * float(np.abs(told).sum())
    if len(told) <= EXACT:
        patterns = (np.arange(2 ** len(told))[:, None] >> np.arange(len(told))) & 1
        return float(np.mean(np.abs((2 * patterns - 1) @ told) >= seen))
    rng, at_once, reached = np.random.default_rng(seed), max(1, AT_ONCE // len(told)), 0
    for first in range(0, draws, at_once):
        size = (min(at_once, draws - first), len(told))
        signs = rng.integers(0, 2, size=size, dtype=np.int8) * 2.0 - 1.0
        reached += int(np.count_nonzero(np.abs(signs @ told) >= seen))
    return float((1 + reached) / (1 + draws))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for there being several (Holm 1979), in their order: the i-th smallest of m
    times m - i + 1, made increasing, at most 1."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def difficulty(share: float) -> str:
    """The class of a task by the share of attempts that all compared agents together solved; both ends are
    classes of their own, for there nothing can differ."""
    if share >= 1.0:
        return "always solved"
    return next(name for name, most in SHARES if share <= most)
