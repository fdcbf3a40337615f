"""PCL by hand: the prompts closest to one half."""

import numpy as np
import pytest

from trace_gym.schedule.pcl import PclRoots


def chosen(rule: PclRoots, pool, limit: int | None, seed: int = 0) -> dict[int, tuple[int, float]]:
    choices = rule.choose(pool, limit, step=0, rng=np.random.default_rng(seed))
    return {choice.place: (choice.count, choice.propensity) for choice in choices}


def test_the_closest_by_hand(world) -> None:
    """|V~ - .5| = .4, .1, .02, .3, .1, .45. Two prompts of 4: number 2 for sure, and one of 1 and 4, which
    tie. Three prompts: 2, 1 and 4."""
    pool = world(values=[0.1, 0.6, 0.48, 0.2, 0.4, 0.95], turns=[2] * 6).pool()
    assert chosen(PclRoots(4), pool, 12) == {1: (4, 1.0), 2: (4, 1.0), 4: (4, 1.0)}
    for seed in range(8):
        two = chosen(PclRoots(4), pool, 11, seed)
        assert two.pop(2) == (4, 1.0)
        assert list(two.values()) == [(4, 0.5)]
        assert set(two) <= {1, 4}


def test_another_target(world) -> None:
    pool = world(values=[0.1, 0.6, 0.48, 0.2], turns=[2] * 4).pool()
    assert set(chosen(PclRoots(2, prompts=2, target=0.15), pool, None)) == {0, 3}
    assert PclRoots(2, prompts=2).pool_size == 8


def test_a_constant_predictor_means_random_prompts(world) -> None:
    pool = world(values=[0.1, 0.6, 0.48, 0.2], turns=[2] * 4, predicts=False).pool()
    seen = [set(chosen(PclRoots(2, prompts=2), pool, None, seed)) for seed in range(60)]
    assert {prompt for two in seen for prompt in two} == {0, 1, 2, 3}
    assert len({tuple(sorted(two)) for two in seen}) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"prompts": 0}, "prompts must be at least 1"),
        ({"pool_factor": 0.5}, "pool_factor must be at least 1"),
        ({"target": 1.0}, r"target must lie in \(0, 1\)"),
    ],
)
def test_bad_numbers_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PclRoots(**options)
