"""The mathematics of mixed-reward contrast: what roots and prefixes are worth, and how to share rollouts out.

Pure functions over numpy arrays (TRACE, arXiv 2606.11119, stages 1 and 2). A success probability v is a
number or, where a `concentration` c is given, uncertain: v ~ Beta(v c, (1-v) c), and values are expectations
over it. Leaves out where the probabilities come from, and everything about trees, grants and budgets.
"""

from __future__ import annotations

import heapq
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reals: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]

DECIMALS = 12
"""Slopes that agree to so many decimals are ties, so that v and 1-v tie in spite of rounding."""


def moment(v: ArrayLike, m: ArrayLike, concentration: ArrayLike | None = None) -> Reals:
    """E[v^m]: `v^m`, or for v ~ Beta(a, b), a = v c and b = (1-v) c, `prod_{j<m} (a+j) / (a+b+j)`. The m are
    whole numbers; all broadcast.

    It is the product and not a ratio of Beta functions, whose logarithms lose digits as c grows: marginals
    would then rise where they are to fall.
    """
    value, count = np.asarray(v, dtype=np.float64), np.asarray(m, dtype=np.int64)
    if concentration is None:
        return np.asarray(value**count)
    sure = np.asarray(concentration, dtype=np.float64)
    power = np.ones(np.broadcast_shapes(value.shape, count.shape, sure.shape))
    for j in range(int(count.max(initial=0))):
        power = np.where(j < count, power * (value * sure + j) / (sure + j), power)
    return np.asarray(power)


def root_contrast(v: ArrayLike, m: ArrayLike, concentration: ArrayLike | None = None) -> Reals:
    """P(m independent rollouts hold both outcomes): `V_root(v, m) = 1 - v^m - (1-v)^m`, and 0 for m = 0.

    `v` are success probabilities, `m` rollout counts; they broadcast.
    """
    value, count = np.asarray(v, dtype=np.float64), np.asarray(m, dtype=np.int64)
    mixed = 1.0 - moment(value, count, concentration) - moment(1.0 - value, count, concentration)
    return np.where(count < 2, 0.0, mixed)


def root_marginal(v: ArrayLike, m: ArrayLike, concentration: ArrayLike | None = None) -> Reals:
    """What the m-th root adds, `V_root(v, m) - V_root(v, m-1)`: 0 for m = 1, 2u for m = 2 and
    `u [v^(m-2) + (1-v)^(m-2)]` beyond, with u = v(1-v)."""
    count = np.asarray(m, dtype=np.int64)
    slope = _slope(np.asarray(v, dtype=np.float64), count, concentration)
    return np.where(count < 2, 0.0, np.where(count == 2, 2.0 * slope, slope))


def flip_probability(v: ArrayLike, success: ArrayLike) -> Reals:
    """P(one continuation ends unlike the observed outcome r): `1 - [r v + (1-r)(1-v)]`; they broadcast."""
    value = np.asarray(v, dtype=np.float64)
    return np.where(np.asarray(success, dtype=bool), 1.0 - value, value)


def prefix_contrast(flip: ArrayLike, k: ArrayLike, concentration: ArrayLike | None = None) -> Reals:
    """P(at least one of k continuations flips the outcome): `V_pref = 1 - (1 - flip)^k`; they broadcast."""
    return np.asarray(1.0 - moment(1.0 - np.asarray(flip, dtype=np.float64), k, concentration))


def prefix_marginal(flip: ArrayLike, k: ArrayLike, concentration: ArrayLike | None = None) -> Reals:
    """What the k-th continuation adds, `flip (1 - flip)^(k-1)`; they broadcast."""
    return _ended(1.0 - np.asarray(flip, dtype=np.float64), np.asarray(k, dtype=np.int64) - 1, concentration)


def allocate_roots(
    v: ArrayLike,
    total: int,
    *,
    cap: int,
    concentration: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Counts:
    """Stage 1: counts (n,) that maximise `sum V_root(v_i, m_i)` with `sum m_i = total`, m_i in {0, 2..cap}.

    Where `total` cannot be met (a single root, too few candidates under the cap, an odd total with cap 2)
    the sum is the largest possible one below it. Ties go to the earlier candidate, or to a random one
    where `rng` is given. Exact; O(n + total log total).

    With u = v(1-v), or its expectation, V_root is concave but for the step 0 -> 2: the first two roots add u
    each on average, the third u, the later ones less. So units are bought by slope as if a single root were
    worth u. That relaxation bounds the optimum from above and leaves at most one candidate, the last, with
    one root. It is then cheapest either to move that root to the best next unit, or to make it a pair with
    the worst unit bought: any other change moves at least one such unit too.
    """
    value = _probabilities(v)
    _check_totals(total, cap)
    counts = np.zeros(len(value), dtype=np.int64)
    cap = min(cap, total)
    if cap < 2 or not len(value):
        return counts
    sure = None if concentration is None else np.broadcast_to(concentration, value.shape)
    ranked = _most_uncertain(_slope(value, 2, sure), -(-total // min(cap, 3)), rng=rng)
    value, sure = value[ranked], None if sure is None else sure[ranked]
    counts[ranked] = _without_lone_root(value, sure, _relaxed(value, sure, total, cap=cap), cap=cap)
    return counts


def allocate_roots_exact(
    v: ArrayLike, total: int, *, cap: int, concentration: ArrayLike | None = None
) -> Counts:
    """`allocate_roots` by dynamic programming over all counts: O(n total cap), for small instances."""
    value = _probabilities(v)
    _check_totals(total, cap)
    best = np.full(total + 1, -np.inf)
    best[0] = 0.0
    chosen = np.zeros((len(value), total + 1), dtype=np.int64)
    sure = [None] * len(value) if concentration is None else np.broadcast_to(concentration, value.shape)
    for i, (p, c) in enumerate(zip(value, sure, strict=True)):
        previous = best.copy()
        for m in range(2, min(cap, total) + 1):
            offer = previous[: total + 1 - m] + float(root_contrast(p, m, c))
            better = offer > best[m:]
            best[m:][better] = offer[better]
            chosen[i, m:][better] = m
    spent = int(np.flatnonzero(np.isfinite(best))[-1])
    counts = np.zeros(len(value), dtype=np.int64)
    for i in reversed(range(len(value))):
        counts[i] = chosen[i, spent]
        spent -= int(counts[i])
    return counts


def allocate_prefixes(flips: ArrayLike, total: int, *, rng: np.random.Generator | None = None) -> Counts:
    """Stage 2: counts (n,) that maximise `sum V_pref(flip_i, k_i)` with `sum k_i = total`.

    Unit greedy, exact because the (k+1)-th continuation adds `flip (1-flip)^k`, which falls with k. All is
    spent, even where it adds nothing; nothing where there is no prefix. Ties as in `allocate_roots`.
    O((n + total) log n).
    """
    flip = _probabilities(flips)
    _check_totals(total, 2)
    counts = np.zeros(len(flip), dtype=np.int64)
    if not len(flip):
        return counts
    ties = np.arange(len(flip)) if rng is None else rng.permutation(len(flip))
    heap = [
        (-gain, int(tie), i) for i, (gain, tie) in enumerate(zip(flip.round(DECIMALS), ties, strict=True))
    ]
    heapq.heapify(heap)
    for _ in range(total):
        _, tie, i = heap[0]
        counts[i] += 1
        gain = round(float(flip[i] * (1.0 - flip[i]) ** counts[i]), DECIMALS)
        heapq.heapreplace(heap, (-gain, tie, i))
    return counts


def allocate_units(gains: ArrayLike, total: int, *, rng: np.random.Generator | None = None) -> Counts:
    """Counts (n,) that maximise `sum_i sum_{k < count_i} gains[i, k]` with `sum count_i = min(total, n K)`.

    `gains` (n, K): what the k-th unit of each brings, non-increasing in k (to `DECIMALS`); then the largest
    are the optimum. Ties go to the lower k, then to the earlier row, or to a random one where `rng` is given.
    """
    worth = np.asarray(gains, dtype=np.float64)
    if worth.ndim != 2:
        raise ValueError(f"gains need a row each and a column per unit, got shape {worth.shape}")
    if total < 0:
        raise ValueError(f"the number of rollouts to share out must not be negative, got {total}")
    rows, units = worth.shape
    if np.any(np.diff(worth, axis=1) > 10.0**-DECIMALS):
        raise ValueError("gains must not rise from one unit to the next")
    ties = np.arange(rows) if rng is None else rng.permutation(rows)
    row, unit = np.divmod(np.arange(rows * units), max(1, units))
    bought = np.lexsort((ties[row], unit, -worth.round(DECIMALS).reshape(-1)))[:total]
    return np.bincount(row[bought], minlength=rows).astype(np.int64)


def _slope(value: Reals, m: Counts | int, sure: ArrayLike | None = None) -> Reals:
    """What the m-th unit is worth when the first pair is bought as two units of u."""
    later = np.maximum(m - 2, 1)
    if sure is None:
        return np.asarray(value * (1.0 - value) * (value**later + (1.0 - value) ** later))
    return _ended(value, later + 1, sure) + _ended(1.0 - value, later + 1, sure)


def _ended(v: Reals, m: ArrayLike, concentration: ArrayLike | None) -> Reals:
    """E[v^m (1-v)], for a Beta `E[v^m] b / (a+b+m)`: the difference of two moments without rounding."""
    other = 1.0 - v
    if concentration is not None:
        sure = np.asarray(concentration, dtype=np.float64)
        other = other * sure / (sure + np.asarray(m))
    return np.asarray(moment(v, m, concentration) * other)


def _most_uncertain(u: Reals, many: int, *, rng: np.random.Generator | None) -> Counts:
    """Indices of the `many` candidates of highest u, in falling order: no other is ever worth a root."""
    u = u.round(DECIMALS)
    many = min(many, len(u))
    keep = np.flatnonzero(u >= np.partition(u, len(u) - many)[len(u) - many])
    ties = np.arange(len(keep)) if rng is None else rng.permutation(len(keep))
    return keep[np.lexsort((ties, -u[keep]))[:many]]


def _relaxed(value: Reals, sure: Reals | None, total: int, *, cap: int) -> Counts:
    """Counts that buy `total` units by slope, a lone first unit allowed; `value` in falling order of u."""
    slope = _slope(value, 2, sure).round(DECIMALS)
    rank = np.arange(len(value))
    flat = min(cap, 3)
    floor = slope[-1] if flat * len(value) >= total else 0.0
    ranks, slopes = [rank] * flat, [slope] * flat
    for m in range(4, cap + 1):
        slope = np.minimum(slope, _slope(value[rank], m, None if sure is None else sure[rank]))
        alive = slope >= floor
        rank, slope = rank[alive], slope[alive]
        if not len(rank):
            break
        ranks.append(rank)
        slopes.append(slope)
    unit_rank = np.concatenate(ranks)
    bought = np.lexsort((unit_rank, -np.concatenate(slopes)))[:total]
    return np.bincount(unit_rank[bought], minlength=len(value)).astype(np.int64)


def _without_lone_root(value: Reals, sure: Reals | None, counts: Counts, *, cap: int) -> Counts:
    """The cheapest change that leaves no candidate with a single root; the sum is kept where it can be."""
    lone = np.flatnonzero(counts == 1)
    if not len(lone):
        return counts
    counts = counts.copy()
    last = lone[0]
    counts[last] = 0
    if cap == 2 or not counts.any():
        return counts
    gain = np.where((counts >= 2) & (counts < cap), _slope(value, counts + 1, sure), -np.inf)
    loss = np.where(counts >= 3, _slope(value, counts, sure), np.inf)
    grow, shrink = int(np.argmax(gain)), int(np.argmin(loss))
    pair = 2.0 * float(_slope(value, 2, sure)[last])
    if gain[grow] + loss[shrink] >= pair:
        counts[grow] += 1
    else:
        counts[last] = 2
        counts[shrink] -= 1
    return counts


def _probabilities(v: ArrayLike) -> Reals:
    value = np.asarray(v, dtype=np.float64).reshape(-1)
    if not np.all((value >= 0.0) & (value <= 1.0)):
        wrong = value[~((value >= 0.0) & (value <= 1.0))][0]
        raise ValueError(f"a probability must lie in [0, 1], got {wrong}")
    return value


def _check_totals(total: int, cap: int) -> None:
    if total < 0:
        raise ValueError(f"the number of rollouts to share out must not be negative, got {total}")
    if cap < 2:
        raise ValueError(f"cap must be at least 2 (one rollout has no contrast), got {cap}")
