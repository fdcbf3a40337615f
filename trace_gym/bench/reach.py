"""At what part of the baseline's cost a method is where the baseline ends, read off mean curves.

Mean curves, because a seed that never gets there has no cost, and to leave it out would flatter. The interval
is a bootstrap's over seeds, a method's and the baseline's resampled together. Pure; leaves out tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_gym.bench.curve import Point, success_at

RESAMPLES = 1000
TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Reach:
    """`share` of the baseline's cost; None: never reached. 95 % of the resamples lie between `low` and `high`
    (None: where it is not reached); with one `seed` nothing is known of that."""

    share: float | None
    low: float | None
    high: float | None
    seeds: int

    def json(self) -> dict[str, Any]:
        """All fields by name."""
        return asdict(self)


def reach(
    curves: Mapping[int, Sequence[Point]], base: Mapping[int, Sequence[Point]], axis: str
) -> Reach | None:
    """From the curves by seed, over the seeds of both; None where there is no such seed, the baseline or the
    method costs nothing on this axis, or the method begins no lower than the baseline ends."""
    seeds = sorted(set(curves) & set(base))
    if not seeds:
        return None
    costs = np.unique([float(getattr(point, axis)) for seed in seeds for point in curves[seed]])
    success = np.array([[success_at(curves[seed], cost, axis) for cost in costs] for seed in seeds])
    ends = np.array([base[seed][-1].success for seed in seeds])
    spent = np.array([float(getattr(base[seed][-1], axis)) for seed in seeds])

    def share(of: NDArray[np.int64]) -> float:
        return _crossing(costs, success[of].mean(axis=0), float(ends[of].mean())) / float(spent[of].mean())

    every = np.arange(len(seeds))
    if not spent.mean() or not costs[-1] or success[:, 0].mean() >= ends.mean():
        return None
    found = share(every)
    if len(seeds) < 2:
        return Reach(_known(found), None, None, 1)
    rng = np.random.default_rng(0)
    drawn = np.sort([share(rng.choice(every, len(every))) for _ in range(RESAMPLES)])
    low, high = (float(drawn[int(at * (RESAMPLES - 1))]) for at in (TAIL, 1.0 - TAIL))
    return Reach(_known(found), _known(low), _known(high), len(seeds))


def _crossing(costs: NDArray[np.float64], success: NDArray[np.float64], target: float) -> float:
    """The first cost at which the curve, straight between its points, is at the target, to within rounding;
    infinite if it never is."""
    above = np.flatnonzero(success >= target - 1e-12)
    if not len(above):
        return float("inf")
    at = int(above[0])
    if not at:
        return float(costs[0])
    part = (target - success[at - 1]) / (success[at] - success[at - 1])
    return float(costs[at - 1] + min(1.0, part) * (costs[at] - costs[at - 1]))


def _known(share: float) -> float | None:
    return share if np.isfinite(share) else None
