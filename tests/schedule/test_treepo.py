"""TreePO by hand: paths double turn by turn up to the width; what is left restarts from random nodes."""

import numpy as np
import pytest

from trace_gym.core.budget import Budget
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.rule import Played, Trajectory
from trace_gym.schedule.treepo import TreePoForks
from trace_gym.schedule.uniform import UniformRoots
from trace_gym.testing import grow_tree


def breadth_first(running: int) -> int:
    """Play the rollout that began first."""
    return 0


def test_paths_double_until_the_tree_is_wide(world) -> None:
    """Two roots of five turns, eight leaves wanted: after turn 1 there are 4 paths, after turn 2 there are 8,
    all the width; turn 3 splits nothing."""
    play = world(values=[0.5], turns=[5])
    lockstep = iter([0, 1, 0, 1, 2, 3])
    scheduler = Composed(UniformRoots(2), TreePoForks(3), seed=0)
    forest, metrics = play.step(scheduler, Budget(trajectories=8), order=lambda running: next(lockstep, 0))
    [tree] = forest.trees
    assert len(tree.outcomes()) == 8
    assert (metrics["roots"], metrics["forks"], metrics["fresh_roots"]) == (2, 6, 0)
    assert metrics["forks_at_1"] == 2
    assert metrics["forks_at_2"] == 4
    assert "turn 1: the path becomes 2" in {grant.reason for grant in play.grants.values()}


def test_the_order_of_turns_decides_the_shape_and_nothing_else(world) -> None:
    """One path after the other: the first two split at every turn until the width is reached."""
    play = world(values=[0.5], turns=[5])
    forest, metrics = play.step(
        Composed(UniformRoots(2), TreePoForks(3), seed=0), Budget(trajectories=8), order=breadth_first
    )
    assert len(forest.trees[0].outcomes()) == 8
    assert metrics["forks"] == 6
    assert metrics["forks_at_4"] >= 1


def test_the_depth_and_the_end_bound_it() -> None:
    """Node 3 lies at depth 3; a rollout that is over splits no more."""
    tree = grow_tree("0 1 1 1 .")
    rule, rng = TreePoForks(3, depth=2, divergence=4), np.random.default_rng(0)
    assert [(c.place, c.count) for c in rule.watch(tree, 2, 9, over=False, rng=rng)] == [(2, 3)]
    assert [(c.place, c.count) for c in rule.watch(tree, 2, 2, over=False, rng=rng)] == [(2, 2)]
    assert rule.watch(tree, 3, 9, over=False, rng=rng) == []
    assert rule.watch(tree, 2, 9, over=True, rng=rng) == []


def test_the_fallback_draws_from_all_nodes(world) -> None:
    tree = world(values=[0.5], turns=[4]).plant(0)
    scene = Played(tree, (Trajectory(0, True, (1, 2), {}),), (Trajectory(1, False, (4,), {}, anchor=1),))
    seen: set[int] = set()
    for seed in range(30):
        choices = TreePoForks(3).again(scene, 2, step=0, rng=np.random.default_rng(seed))
        assert sum(choice.count for choice in choices) == 2
        assert all(choice.propensity == pytest.approx(5 / 9) for choice in choices)
        seen |= {choice.place for choice in choices}
    assert seen == {1, 2, 4}


def test_short_episodes_use_the_fallback(world) -> None:
    """Two turns: each of two roots splits once; the other four continuations come from their first turns."""
    play = world(values=[0.5], turns=[2])
    _, metrics = play.step(Composed(UniformRoots(2), TreePoForks(3), seed=0), Budget(trajectories=8))
    assert metrics["forks_at_1"] == 6
    assert metrics["unspent"] == 0


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="per_root must be at least 1"):
        TreePoForks(0)
    with pytest.raises(ValueError, match="divergence must be at least 2"):
        TreePoForks(divergence=1)
    with pytest.raises(ValueError, match="depth must be at least 1"):
        TreePoForks(depth=0)
