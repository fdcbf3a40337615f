"""Knapsack RL by hand and against all allocations."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.schedule.contrast import root_contrast
from trace_gym.schedule.knapsack import KnapsackRoots, allocate_gain, information


def test_by_hand() -> None:
    """p = .5, .2: p(1-p)^2 = .125, .128. Beyond two roots each, the third and later ones add

        p     3rd            4th             5th              6th
        .5    .125*.25       .125*.125       .125*.0625
              = .03125       = .015625       = .0078
        .2    .128*.16       .128*.1088      .128*.08320      .128*.0657
              = .02048       = .013926       = .01065         = .00841

    so 9 roots are 2 + 2 and .03125, .02048, .015625, .013926, .01065: four and five.
    """
    v = np.array([0.5, 0.2])
    assert information(v).tolist() == pytest.approx([0.125, 0.128])
    assert allocate_gain(v, 9, least=2, most=128).tolist() == [4, 5]
    assert allocate_gain(v, 8, least=2, most=128).tolist() == [4, 4]
    assert allocate_gain(v, 9, least=2, most=4).tolist() == [4, 4]
    assert allocate_gain(v, 3, least=2, most=4).tolist() == [2, 2]
    assert allocate_gain(np.zeros(0), 3, least=2, most=4).tolist() == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=3), st.integers(6, 20))
def test_exact_against_all_allocations(p: list[float], total: int) -> None:
    v = np.array(p)

    def value(n) -> float:
        return float((root_contrast(v, np.array(n)) * information(v)).sum())

    ours = allocate_gain(v, total, least=2, most=8)
    spent = min(total, 8 * len(p))
    assert ours.sum() == spent
    every = [n for n in product(range(2, 9), repeat=len(p)) if sum(n) == spent]
    assert value(ours) == pytest.approx(max(map(value, every)), abs=1e-9)


def test_hard_prompts_get_more_than_easy_ones(world) -> None:
    pool = world(values=[0.2, 0.8], turns=[2] * 2).pool()
    choices = KnapsackRoots(8).choose(pool, 16, step=0, rng=np.random.default_rng(0))
    assert sum(choice.count for choice in choices) == 16
    assert choices[0].count > choices[1].count >= 2
    assert choices[0].reason.startswith(f"V~=0.20: {choices[0].count} roots are worth 0.1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"least": 1}, "least must be at least 2"),
        ({"n": 1}, "n must lie between least and most"),
        ({"prompts": 0}, "prompts must be at least 1"),
    ],
)
def test_bad_numbers_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KnapsackRoots(**options)
