"""Knapsack RL (arXiv 2509.25849): a knapsack of rollouts, worth their chance of a gradient times its gain.

Maximise `sum_i [1 - p^N - (1-p)^N] p (1-p)^2` with `sum N_i = total`, least <= N_i <= most (its equations for
the probability of a non-zero gradient and for InfoGain). Every prompt of the batch keeps `least`, beyond
which the value is concave in N: unit greedy is the dynamic programme's optimum. p is the predicted success.
Leaves out the fallback for prompts known to be at 0 or 1: predictions never are.
"""

from __future__ import annotations

import numpy as np

from trace_gym.schedule.bounded import BoundedRoots
from trace_gym.schedule.contrast import Counts, Reals, allocate_units, root_contrast, root_marginal


class KnapsackRoots(BoundedRoots):
    """A budget of `n` roots a prompt on average, over `prompts` prompts drawn at random (None: as many as it
    pays), every one of them between `least` and `most`."""

    def __init__(
        self,
        n: int = 8,
        *,
        prompts: int | None = None,
        least: int = 2,
        most: int = 128,
        prior: float = 0.5,
        cold_steps: int = 0,
    ) -> None:
        super().__init__(n, prompts=prompts, least=least, most=most, prior=prior, cold_steps=cold_steps)

    def shares(self, v: Reals, total: int, *, least: int, most: int, rng: np.random.Generator) -> Counts:
        """See `allocate_gain`."""
        return allocate_gain(v, total, least=least, most=most, rng=rng)

    def worth(self, v: float, m: int) -> str:
        """The chance of a gradient times its gain."""
        return f"are worth {float(root_contrast(v, m) * information(v)):.4f}"


def information(p: Reals | float) -> Reals:
    """InfoGain: `p (1-p)^2`, the largest at one third."""
    p = np.asarray(p, dtype=np.float64)
    return np.asarray(p * (1.0 - p) ** 2)


def allocate_gain(
    v: Reals, total: int, *, least: int, most: int, rng: np.random.Generator | None = None
) -> Counts:
    """Counts (n,) between `least` and `most` that maximise the value, summing to `total` where that can
    be."""
    if not len(v):
        return np.zeros(0, dtype=np.int64)
    rest = max(0, total - least * len(v))
    units = np.arange(least + 1, min(most, least + rest) + 1)
    gains = information(v)[:, None] * root_marginal(v[:, None], units[None, :])
    return least + allocate_units(gains, rest, rng=rng)
