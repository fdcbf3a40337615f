"""Choosing prompts from a pool: at random, in proportion to a weight, or the best by a score with ties broken
at random.

All say how likely each was to be chosen. Leaves out what the score is.
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


def in_proportion(weight: Reals, many: int, *, rng: np.random.Generator) -> tuple[Counts, Reals]:
    """`many` places, in the pool's order, and of all places (n,) the chance of being among them: in
    proportion to their `weight`, all positive, but at most 1.

    Systematic sampling from a random order, so that the chances are exact: places lie side by side, each as
    wide as its chance, and every one is taken in which a whole number falls once all are shifted by chance.
    """
    many = min(many, len(weight))
    chance = np.ones(len(weight))
    if many < len(weight):
        free = np.ones(len(weight), dtype=bool)
        while True:
            chance[free] = (many - (~free).sum()) * weight[free] / weight[free].sum()
            if not (over := free & (chance > 1.0)).any():
                break
            chance[over], free[over] = 1.0, False
    order = rng.permutation(len(weight))
    edges = rng.random() + np.concatenate([[0.0], np.cumsum(chance[order])])
    return np.sort(order[np.diff(np.floor(edges)) > 0]).astype(np.int64), chance


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
