"""VIP against its closed form, by hand and by enumeration."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.schedule.vip import VipRoots, allocate_variance, variance_shares


def test_the_closed_form_by_hand() -> None:
    """p = .5, .2, .0: sqrt(4 p(1-p)) = 1, .8, 0. With L = 3, U = 32 and 21 rollouts the last has 3, and the
    others 1 + s and 1 + .8 s with 2 + 1.8 s = 18: s = 80/9, so 9.889 and 8.111. In whole rollouts 9 and 8 and
    one left over, which the first uses best: .25/8 - .25/9 = .0035 against .16/7 - .16/8 = .0029."""
    v = np.array([0.5, 0.2, 0.0])
    assert variance_shares(v, 21, least=3, most=32).tolist() == pytest.approx([9.8889, 8.1111, 3.0], abs=1e-4)
    assert allocate_variance(v, 21, least=3, most=32).tolist() == [10, 8, 3]


def test_the_bounds_hold() -> None:
    v = np.array([0.5, 0.5, 0.01])
    assert allocate_variance(v, 13, least=3, most=5).tolist() == [5, 5, 3]
    assert allocate_variance(v, 99, least=3, most=5).tolist() == [5, 5, 5]
    assert allocate_variance(np.zeros(3), 12, least=3, most=32).tolist() == [4, 4, 4]
    assert allocate_variance(np.zeros(0), 12, least=3, most=32).tolist() == []


def test_a_prompt_that_is_all_but_certain_leaves_the_sum_as_it_is() -> None:
    """Its root is 2e-150: what the bisection begins with is far beyond where it ends."""
    v = np.array([0.5, 0.2, 1e-300])
    assert variance_shares(v, 21, least=3, most=32).tolist() == pytest.approx([9.8889, 8.1111, 3.0], abs=1e-4)
    assert allocate_variance(v, 21, least=3, most=32).tolist() == [10, 8, 3]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.02, 0.98), min_size=1, max_size=3), st.integers(9, 24))
def test_whole_rollouts_are_the_optimum(p: list[float], total: int) -> None:
    """Against all allocations: variance sum_i p(1-p)/(n-1)."""
    v = np.array(p)

    def variance(n) -> float:
        return float((v * (1 - v) / (np.array(n) - 1.0)).sum())

    ours = allocate_variance(v, total, least=3, most=9)
    spent = min(total, 9 * len(p))
    assert ours.sum() == spent
    every = [n for n in product(range(3, 10), repeat=len(p)) if sum(n) == spent]
    assert variance(ours) == pytest.approx(min(map(variance, every)), abs=1e-9)


def test_a_batch_by_hand(world) -> None:
    """24 trajectories of 8 each pay all three prompts. Roots of a are 1, .8, .063: the last has L = 3, so 2 +
    1.8 s = 21, s = 10.56 and the others 11.56 and 9.44; the one left over gains .00227 against .00222."""
    pool = world(values=[0.5, 0.2, 0.001], turns=[2] * 3).pool()
    choices = VipRoots(8).choose(pool, 24, step=0, rng=np.random.default_rng(0))
    assert [choice.count for choice in choices] == [12, 9, 3]
    assert choices[0].reason == "V~=0.50: 12 roots leave a variance of 0.023"
    assert VipRoots(8).choose(pool, 7, step=0, rng=np.random.default_rng(0)) == []
    assert VipRoots(8, prompts=5).pool_size == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"least": 1}, "least must be at least 2"),
        ({"n": 2}, "n must lie between least and most"),
        ({"most": 7}, "n must lie between least and most"),
        ({"prompts": 0}, "prompts must be at least 1"),
    ],
)
def test_bad_numbers_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VipRoots(**options)
