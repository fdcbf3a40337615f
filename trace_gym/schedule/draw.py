"""Choosing prompts from a pool: at random, or the best by a score with ties broken at random.

Both say how likely each was to be chosen. Leaves out what the score is.
"""

from __future__ import annotations

import numpy as np

from trace_gym.schedule.contrast import DECIMALS, Counts, Reals


def uniformly(size: int, many: int, *, rng: np.random.Generator) -> tuple[list[int], float]:
    """`many` places of a pool of `size`, in its order, and the share that was drawn."""
    many = min(size, many)
    if not many:
        return [], 0.0
    return sorted(rng.choice(size, size=many, replace=False).tolist()), many / size


def lowest(score: Reals, many: int, *, rng: np.random.Generator) -> tuple[Counts, Reals]:
    """The `many` places of lowest score, in the pool's order, and each one's probability of being among them:
    1 below the worst score chosen, the share chosen at it."""
    score = score.round(DECIMALS)
    many = min(many, len(score))
    order = np.lexsort((rng.permutation(len(score)), score))[:many]
    chosen = np.sort(order).astype(np.int64)
    if not many:
        return chosen, np.zeros(0)
    worst = score[order[-1]]
    share = float((score[chosen] == worst).sum() / (score == worst).sum())
    return chosen, np.where(score[chosen] == worst, share, 1.0)


def tie_shares(value: Reals, counts: Counts) -> Reals:
    """For every place (n,), the share of those with its value that were given anything."""
    _, group = np.unique(value.round(DECIMALS), return_inverse=True)
    return np.asarray((np.bincount(group, weights=counts > 0) / np.maximum(np.bincount(group), 1))[group])
