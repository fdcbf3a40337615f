"""VIP (arXiv 2602.01601): rollouts where they lower the variance of the gradient most.

A prompt's projected gradient has variance 4 sigma^2 p(1-p)/(n-1) under RLOO, with p its predicted success.
Minimising the sum over a batch subject to `sum n_i = C`, L <= n_i <= U gives n_i = 1 + sqrt(a_i / lambda),
a_i = 4 sigma^2 p_i (1-p_i), clipped to [L, U] (its theorem for RLOO), lambda found by bisection; the
remainder of rounding down goes where one more rollout lowers the variance most. sigma is common to all and
drops out. Leaves out the Gaussian process over prompt embeddings: whatever predictor is configured stands in
for it.
"""

from __future__ import annotations

import numpy as np

from trace_gym.schedule.bounded import BoundedRoots
from trace_gym.schedule.contrast import Counts, Reals, allocate_units


class VipRoots(BoundedRoots):
    """A budget of `n` roots a prompt on average, over `prompts` prompts drawn at random (None: as many as it
    pays), every one of them between `least` and `most`."""

    def __init__(
        self,
        n: int = 8,
        *,
        prompts: int | None = None,
        least: int = 3,
        most: int = 32,
        prior: float = 0.5,
        cold_steps: int = 0,
    ) -> None:
        super().__init__(n, prompts=prompts, least=least, most=most, prior=prior, cold_steps=cold_steps)

    def shares(self, v: Reals, total: int, *, least: int, most: int, rng: np.random.Generator) -> Counts:
        """See `allocate_variance`."""
        return allocate_variance(v, total, least=least, most=most, rng=rng)

    def worth(self, v: float, m: int) -> str:
        """The variance that is left, over sigma squared and 4."""
        return f"leave a variance of {v * (1 - v) / (m - 1):.3f}"


def variance_shares(v: Reals, total: float, *, least: int, most: int) -> Reals:
    """The real-valued optimum (n,): `1 + sqrt(a_i / lambda)` clipped to [least, most], summing to `total`.

    With all a_i = 0 everybody has the same."""
    root = np.sqrt(4.0 * v * (1.0 - v))
    total = min(max(total, float(least * len(v))), float(most * len(v)))
    if not root.any():
        return np.full(len(v), total / max(1, len(v)))
    low, high = 0.0, most / float(root[root > 0.0].min())
    while low < (middle := (low + high) / 2.0) < high:
        enough = np.clip(1.0 + middle * root, least, most).sum() >= total
        low, high = (low, middle) if enough else (middle, high)
    return np.asarray(np.clip(1.0 + high * root, least, most))


def allocate_variance(
    v: Reals, total: int, *, least: int, most: int, rng: np.random.Generator | None = None
) -> Counts:
    """`variance_shares` in whole rollouts: rounded down, then one at a time where it helps most."""
    if not len(v):
        return np.zeros(0, dtype=np.int64)
    floor = np.floor(variance_shares(v, total, least=least, most=most) + 1e-9).astype(np.int64)
    rest = max(0, min(total, most * len(v)) - int(floor.sum()))
    n = floor[:, None] + np.arange(most - least + 1)
    gain = (v * (1.0 - v))[:, None] * (1.0 / (n - 1.0) - 1.0 / n)
    return floor + allocate_units(np.where(n < most, gain, -1.0), rest, rng=rng)
