"""Dynamic sampling by hand: what replaces what, and when it ends."""

import numpy as np
import pytest

from trace_gym.core.budget import Budget
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.dapo import DapoRoots
from trace_gym.schedule.rule import Standing
from trace_gym.schedule.uniform import NoForks


@pytest.mark.parametrize(
    ("wins", "losses", "left", "replaced"),
    [
        (2, 0, 2, True),
        (0, 2, 2, True),
        (0, 0, 2, True),
        (1, 1, 2, False),
        (2, 0, 1, False),
        (2, 0, None, True),
    ],
)
def test_who_is_replaced(world, wins: int, losses: int, left: int | None, replaced: bool) -> None:
    """A group with both outcomes stays; any other gives way to prompt 2, the only one not yet played, if two
    more roots can be paid."""
    pool = world(values=[0.5] * 3, turns=[1] * 3).pool()
    standings = {0: Standing(2, 0, wins, losses, 1), 1: Standing(2, 2, 0, 0, 1)}
    again = DapoRoots(2).again(0, pool, standings, limit=left, rng=np.random.default_rng(0))
    assert [(choice.place, choice.count) for choice in again] == ([(2, 2)] if replaced else [])


def test_a_whole_step(world) -> None:
    """Six prompts that always win or always lose, 2 roots each, 9 trajectories: one group of a third of the
    budget first, then one after another until the budget has no room for a pair."""
    play = world(values=[1.0, 0.0] * 3, turns=[1] * 6)
    forest, metrics = play.step(Composed(DapoRoots(2), NoForks()), Budget(trajectories=9))
    assert metrics["roots"] == 8
    assert metrics["unspent"] == 1
    assert len(forest.trees) == 4
    grants = list(play.grants.values())
    assert grants[0].reason == "dynamic sampling: 2 roots, one of 2 first groups"
    outcomes = {tree.index: "succeeded" if tree.outcome(0) else "failed" for tree in forest.trees}
    for event, answer in play.events:
        for grant in answer:
            assert grant.reason.endswith(f"whose roots all {outcomes[event.tree]}")
    assert all(0.0 < grant.propensity <= 1.0 for grant in grants)


def test_a_full_batch_ends_it(world) -> None:
    """Groups of many at one half have both outcomes: nothing is replaced."""
    play = world(values=[0.5] * 6, turns=[1] * 6, seed=1)
    forest, metrics = play.step(Composed(DapoRoots(12, prompts=3), NoForks()), Budget(trajectories=72))
    assert all(tree.mixed for tree in forest.trees)
    assert (metrics["roots"], metrics["unspent"]) == (36, 36)
    assert DapoRoots(12, prompts=3).pool_size == 9


def test_something_must_bound_it(world) -> None:
    pool = world(values=[0.5], turns=[1]).pool()
    with pytest.raises(ValueError, match="dapo needs a budget of trajectories or a number of prompts"):
        DapoRoots(2).choose(pool, None, step=0, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 1}, "n must be at least 2"),
        ({"prompts": 0}, "prompts must be at least 1"),
        ({"oversampling": 0.5}, "oversampling must be at least 1"),
    ],
)
def test_bad_numbers_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DapoRoots(**options)
