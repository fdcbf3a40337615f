"""Contrast against simulation by enumeration; both allocators against tables by hand and exact search."""

import heapq
from fractions import Fraction
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.schedule.contrast import (
    allocate_prefixes,
    allocate_roots,
    allocate_roots_exact,
    allocate_units,
    flip_probability,
    moment,
    prefix_contrast,
    prefix_marginal,
    root_contrast,
    root_marginal,
)

TIED = st.sampled_from([0.0, 0.01, 0.1, 0.2, 1 / 3, 0.5, 2 / 3, 0.8, 0.9, 1.0])
PROBABILITY = st.one_of(TIED, st.floats(0.0, 1.0))


@pytest.mark.parametrize("v", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("m", [0, 1, 2, 3, 4])
def test_root_contrast_is_the_probability_of_both_outcomes(v: float, m: int) -> None:
    mixed = sum(
        float(np.prod([v if won else 1 - v for won in outcomes]))
        for outcomes in product([True, False], repeat=m)
        if len(set(outcomes)) == 2
    )
    assert root_contrast(v, m) == pytest.approx(mixed)


@given(PROBABILITY, st.integers(1, 12))
def test_root_marginal_is_the_difference(v: float, m: int) -> None:
    assert root_marginal(v, m) == pytest.approx(root_contrast(v, m) - root_contrast(v, m - 1), abs=1e-12)


def test_small_contrasts_in_closed_form() -> None:
    """u = v(1-v): V(2) = 2u, V(3) = 3u, V(4) = 4u - 2u^2."""
    v = np.linspace(0, 1, 11)
    u = v * (1 - v)
    np.testing.assert_allclose(root_contrast(v, 2), 2 * u, atol=1e-15)
    np.testing.assert_allclose(root_contrast(v, 3), 3 * u, atol=1e-15)
    np.testing.assert_allclose(root_contrast(v, 4), 4 * u - 2 * u**2, atol=1e-15)


def test_a_flip_is_the_other_outcome() -> None:
    assert flip_probability([0.3, 0.3], [True, False]).tolist() == [0.7, 0.3]
    assert prefix_contrast([0.5, 0.1, 0.1], [2, 2, 0]).tolist() == pytest.approx([0.75, 0.19, 0.0])


@pytest.mark.parametrize(
    ("total", "cap", "counts"),
    [
        (0, 8, (0, 0, 0)),
        (1, 8, (0, 0, 0)),
        (2, 8, (2, 0, 0)),
        (3, 8, (3, 0, 0)),
        (4, 8, (4, 0, 0)),
        (5, 8, (3, 2, 0)),
        (6, 8, (3, 3, 0)),
        (7, 8, (4, 3, 0)),
        (8, 8, (4, 4, 0)),
        (7, 3, (3, 2, 2)),
        (7, 2, (2, 2, 2)),
        (99, 3, (3, 3, 3)),
    ],
)
def test_roots_by_hand(total: int, cap: int, counts: tuple[int, ...]) -> None:
    """V~ = .5, .2, .1, so u = .25, .16, .09. What each root is worth, a pair counted as two units:

        v    1st   2nd   3rd   4th    5th
        .5   .25   .25   .25   .125   .0625
        .2   .16   .16   .16   .1088  .0832
        .1   .09   .09   .09   .0738  .0657

    M = 7 buys .25 x3, .16 x3, .125: (4, 3, 0). M = 4 would leave a lone .16: moving it to the fourth root of
    the first prompt gives .75 + .125 = .875, making a pair of it .5 + .32 = .82. M = 8 buys .25 x3, .16 x3,
    .125, .1088. With cap 3, M = 7 leaves a lone .09 and nobody can grow, so the second prompt gives a root
    away. With cap 2 an odd root is left over.
    """
    v = [0.5, 0.2, 0.1]
    assert tuple(allocate_roots(v, total, cap=cap)) == counts
    assert tuple(allocate_roots_exact(v, total, cap=cap)) == counts


def test_a_lone_root_becomes_a_pair_where_that_is_better() -> None:
    """V~ = .5, .45: a pair each gives .5 + .495, four for the first .875."""
    assert allocate_roots([0.5, 0.45], 4, cap=8).tolist() == [2, 2]


def test_prefixes_by_hand() -> None:
    """Flips .5, .4, .1 are worth .5 .25 .125 | .4 .24 .144 | .1: the best five are .5 .4 .25 .24 .144."""
    assert allocate_prefixes([0.5, 0.4, 0.1], 5).tolist() == [2, 3, 0]
    assert allocate_prefixes([0.5, 0.4, 0.1], 6).tolist() == [3, 3, 0]
    assert allocate_prefixes([0.0, 0.0], 3).sum() == 3
    assert allocate_prefixes([], 3).tolist() == []


@pytest.mark.parametrize(
    ("mean", "c"), [(0.5, 2.0), (0.2, 7.0), (0.9, 0.5), (0.5, 1e6), (0.0, 3.0), (1.0, 3.0)]
)
@pytest.mark.parametrize("m", [0, 1, 2, 5])
def test_moments_of_a_beta_are_the_product(mean: float, c: float, m: int) -> None:
    a, b = mean * c, (1 - mean) * c
    product_ = float(np.prod([(a + j) / (a + b + j) for j in range(m)]))
    assert float(moment(mean, m, c)) == pytest.approx(product_, rel=1e-6)
    assert float(moment(mean, m)) == pytest.approx(mean**m)


@pytest.mark.parametrize("c", [0.001, 400, 2000, 1e7])
def test_what_units_add_falls_however_sure_the_belief(c: float) -> None:
    """Against exact fractions, and without the rise by rounding that `allocate_units` refuses."""
    flips, units = np.random.default_rng(0).beta(0.3, 0.3, 60), np.arange(1, 49)
    gains = prefix_marginal(flips[:, None], units[None, :], c)
    assert np.diff(gains, axis=1).max() <= 0.0
    assert allocate_units(gains, 100).sum() == 100
    assert np.diff(root_marginal(flips[:, None], units[None, 2:], c), axis=1).max() <= 0.0
    for flip, row in zip(flips[:5], gains, strict=False):
        stay, lost, sure = Fraction(1.0 - flip), 1 - Fraction(1.0 - flip), Fraction(c)
        for k, gain in zip(units.tolist(), row, strict=True):
            before = prod((stay * sure + j) / (sure + j) for j in range(k - 1))
            assert gain == pytest.approx(float(before * lost * sure / (sure + k - 1)), rel=1e-12, abs=1e-300)


def test_expected_contrast_by_hand() -> None:
    """Beta(1, 1): E[v^m] = 1/(m+1), so V(2) = 1 - 2/3 = 1/3 and V(3) = 1/2, against 1/2 and 3/4 for a v known
    to be 1/2; a third continuation after two that did not flip adds 1/3 - 1/4."""
    assert root_contrast(0.5, [2, 3], 2.0).tolist() == pytest.approx([1 / 3, 1 / 2])
    assert root_marginal(0.5, [1, 2, 3, 4], 2.0).tolist() == pytest.approx([0, 1 / 3, 1 / 6, 1 / 10])
    assert prefix_contrast(0.5, [1, 2], 2.0).tolist() == pytest.approx([1 / 2, 2 / 3])
    assert prefix_marginal(0.5, [1, 2, 3], 2.0).tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 12])
    assert prefix_marginal(0.3, [1, 2], None).tolist() == pytest.approx([0.3, 0.21])


def test_unknown_and_measured_one_half_differ() -> None:
    """The plug-in cannot tell them apart; in expectation the well-known one half is worth more roots."""
    counts = allocate_roots([0.5, 0.5], 4, cap=8, concentration=[2.0, 200.0])
    assert counts.tolist() == [0, 4]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(PROBABILITY, st.sampled_from([0.5, 2.0, 9.0, 300.0])), max_size=6),
    st.integers(0, 22),
    st.integers(2, 9),
)
def test_expected_roots_are_exact(beliefs: list[tuple[float, float]], total: int, cap: int) -> None:
    v, c = [v for v, _ in beliefs], [c for _, c in beliefs]
    counts = allocate_roots(v, total, cap=cap, concentration=c)
    exact = allocate_roots_exact(v, total, cap=cap, concentration=c)
    assert counts.sum() == exact.sum() <= total
    assert not ((counts == 1) | (counts > cap)).any()
    best = root_contrast(v, exact, c).sum()
    assert root_contrast(v, counts, c).sum() == pytest.approx(best, abs=1e-9)


@settings(max_examples=400, deadline=None)
@given(st.lists(PROBABILITY, max_size=7), st.integers(0, 26), st.integers(2, 10), st.booleans())
def test_roots_are_exact(v: list[float], total: int, cap: int, random: bool) -> None:
    counts = allocate_roots(v, total, cap=cap, rng=np.random.default_rng(total) if random else None)
    exact = allocate_roots_exact(v, total, cap=cap)
    assert counts.sum() == exact.sum() <= total
    assert not ((counts == 1) | (counts > cap)).any()
    assert root_contrast(v, counts).sum() == pytest.approx(root_contrast(v, exact).sum(), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.integers(3, 16))
def test_roots_equal_the_heap(seed: int, total: int, cap: int) -> None:
    """The plain greedy: the first pair at slope u, then units, from a heap. It may strand a last root."""
    rng = np.random.default_rng(seed)
    v = rng.beta(0.4, 0.4, size=60).clip(0.001, 0.999)
    counts = np.zeros(60, dtype=np.int64)
    heap = [(-value * (1 - value), i) for i, value in enumerate(v)]
    heapq.heapify(heap)
    left = total
    while heap and left:
        _, i = heapq.heappop(heap)
        take = 2 if counts[i] == 0 else 1
        if take > left:
            continue
        counts[i], left = counts[i] + take, left - take
        if counts[i] < cap:
            heapq.heappush(heap, (-float(root_marginal(v[i], counts[i] + 1)), i))
    ours = allocate_roots(v, total, cap=cap)
    assert ours.sum() == min(total, 60 * cap)
    assert root_contrast(v, ours).sum() >= root_contrast(v, counts).sum() - 1e-9


def test_a_million_candidates() -> None:
    """M = 100,000 reach the bound that comes of selling the best 100,000 units one by one."""
    v = np.random.default_rng(0).beta(0.3, 0.3, size=1_000_000)
    counts = allocate_roots(v, 100_000, cap=8, rng=np.random.default_rng(1))
    assert counts.sum() == 100_000
    units = np.concatenate([v * (1 - v)] * 3 + [root_marginal(v, m) for m in range(4, 9)])
    bound = np.partition(units, -100_000)[-100_000:].sum()
    assert bound - 1e-6 < root_contrast(v, counts).sum() < bound + 1e-6


@settings(max_examples=200, deadline=None)
@given(st.lists(PROBABILITY, min_size=1, max_size=4), st.integers(0, 6), st.booleans())
def test_prefixes_are_exact(flips: list[float], total: int, random: bool) -> None:
    counts = allocate_prefixes(flips, total, rng=np.random.default_rng(total) if random else None)
    every = [k for k in product(range(total + 1), repeat=len(flips)) if sum(k) == total]
    best = max(float(prefix_contrast(flips, k).sum()) for k in every)
    assert counts.sum() == total
    assert float(prefix_contrast(flips, counts).sum()) == pytest.approx(best, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(PROBABILITY, min_size=4, max_size=4), min_size=1, max_size=4),
    st.integers(0, 14),
    st.booleans(),
)
def test_units_are_exact(rows: list[list[float]], total: int, random: bool) -> None:
    gains = -np.sort(-np.array(rows), axis=1)
    counts = allocate_units(gains, total, rng=np.random.default_rng(total) if random else None)
    spent = min(total, 4 * len(rows))
    every = [k for k in product(range(5), repeat=len(rows)) if sum(k) == spent]

    def value(k) -> float:
        return float(sum(gains[i, :n].sum() for i, n in enumerate(k)))

    assert counts.sum() == spent
    assert value(counts) == pytest.approx(max(map(value, every)), abs=1e-9)


def test_units_by_hand() -> None:
    """.5 .3 | .4 .2: three units are .5, .4, .3; ties go to the first unit of everybody before any second."""
    assert allocate_units([[0.5, 0.3], [0.4, 0.2]], 3).tolist() == [2, 1]
    assert allocate_units([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], 3).tolist() == [1, 1, 1]
    assert allocate_units(np.zeros((0, 3)), 3).tolist() == []
    with pytest.raises(ValueError, match="must not rise"):
        allocate_units([[0.1, 0.2]], 1)
    with pytest.raises(ValueError, match="a row each"):
        allocate_units([0.1, 0.2], 1)
    with pytest.raises(ValueError, match="must not be negative"):
        allocate_units([[0.1]], -1)


def test_ties_fall_to_everybody_in_turn() -> None:
    """Without a generator the first ones win always; v and 1 - v tie."""
    v = [0.3, 0.7] * 4
    assert allocate_roots(v, 6, cap=8).tolist() == [3, 3, 0, 0, 0, 0, 0, 0]
    rng = np.random.default_rng(0)
    times = sum((allocate_roots(v, 6, cap=8, rng=rng) > 0).astype(int) for _ in range(800))
    assert times.min() > 150
    assert times.max() < 250
    forks = sum(allocate_prefixes([0.5] * 4, 1, rng=rng) for _ in range(400))
    assert forks.min() > 70


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\], got 1.5"):
        allocate_roots([0.5, 1.5], 4, cap=4)
    with pytest.raises(ValueError, match="got nan"):
        allocate_prefixes([float("nan")], 4)
    with pytest.raises(ValueError, match="cap must be at least 2"):
        allocate_roots([0.5], 4, cap=1)
    with pytest.raises(ValueError, match="must not be negative"):
        allocate_prefixes([0.5], -1)
