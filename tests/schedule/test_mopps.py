"""MoPPS by hand: posteriors after known outcomes, and the draws closest to one half."""

import json

import numpy as np
import pytest

from trace_gym.core.tree import Forest
from trace_gym.schedule.mopps import MoppsRoots
from trace_gym.testing import grow_forest


def posterior(rule: MoppsRoots) -> dict[str, list[float]]:
    return rule.state_dict()["posterior"]


def test_posteriors_by_hand() -> None:
    """Prior (1, 1), decay .5. Task 0 wins 3 of 4: .5 + .5 + 3 = 4, .5 + .5 + 1 = 2. Then 0 of 2: .5*4 + .5 =
    2.5 and .5*2 + .5 + 2 = 3.5. Continuations and cut rollouts do not count; task 1 keeps what it had."""
    rule = MoppsRoots(4)
    wins = ["0 1 1 +", "0 1 +", "0 1 +", "0 1 -", "1 1 -", "0 1 ?"]
    rule.learn(grow_forest(wins, ["0 1 -", "0 1 -"]))
    assert posterior(rule) == {"toy/t0": [4.0, 2.0], "toy/t1": [1.0, 3.0]}
    rule.learn(grow_forest(["0 1 -", "0 1 -"]))
    assert posterior(rule) == {"toy/t0": [2.5, 3.5], "toy/t1": [1.0, 3.0]}
    rule.learn(Forest(2, []))
    assert posterior(rule) == {"toy/t0": [2.5, 3.5], "toy/t1": [1.0, 3.0]}


def test_state_travels_as_json() -> None:
    rule, other = MoppsRoots(4), MoppsRoots(4)
    rule.learn(grow_forest(["0 1 +", "0 1 -", "0 1 -"]))
    other.load_state_dict(json.loads(json.dumps(rule.state_dict())))
    assert posterior(other) == posterior(rule) == {"toy/t0": [2.0, 3.0]}


def test_the_draws_closest_to_one_half(world) -> None:
    """Sharp posteriors leave no doubt: Beta(500, 500) against (990, 10) and (10, 990), which tie about."""
    play = world(values=[0.5] * 3, turns=[2] * 3)
    rule = MoppsRoots(2)
    known = {"world/0": [990.0, 10.0], "world/1": [500.0, 500.0], "world/2": [10.0, 990.0]}
    rule.load_state_dict({"posterior": known})
    for seed in range(20):
        [choice] = rule.choose(play.pool(), 3, step=0, rng=np.random.default_rng(seed))
        assert (choice.place, choice.count) == (1, 2)
        assert "from Beta(500, 500), among the closest to 0.5" in choice.reason


def test_unseen_prompts_are_explored(world) -> None:
    """A flat prior's draw beats a confident 0.8 about as often as it falls within .3 of one half: 3 in 5."""
    play = world(values=[0.5] * 2, turns=[2] * 2)
    rule = MoppsRoots(2)
    rule.load_state_dict({"posterior": {"world/0": [8000.0, 2000.0]}})
    picked = [
        rule.choose(play.pool(), 2, step=0, rng=np.random.default_rng(seed))[0].place for seed in range(500)
    ]
    assert 0.53 < np.mean(picked) < 0.67


def test_a_wanted_pool() -> None:
    assert MoppsRoots(8, prompts=4).pool_size == 32
    assert MoppsRoots(8).pool_size is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"prompts": 0}, "prompts must be at least 1"),
        ({"pool_factor": 0.5}, "pool_factor must be at least 1"),
        ({"target": 0.0}, r"target must lie in \(0, 1\)"),
        ({"decay": 0.0}, r"decay must lie in \(0, 1\]"),
        ({"alpha": 0.0}, "alpha and beta must be positive"),
    ],
)
def test_bad_numbers_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MoppsRoots(**options)
