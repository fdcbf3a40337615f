"""Tree-GRPO by hand: which nodes a round may draw, and how many rollouts come of it."""

import numpy as np
import pytest

from trace_gym.core.budget import Budget
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.rule import Played, Trajectory
from trace_gym.schedule.treegrpo import TreeGrpoForks
from trace_gym.schedule.uniform import UniformRoots


def played(world, *continuations: Trajectory) -> Played:
    """Two chains, of nodes 1 2 and 4 5 6 and a leaf each, and a third of one turn."""
    tree = world(values=[0.5], turns=[4]).plant(0)
    chains = (
        Trajectory(0, True, (1, 2), {}),
        Trajectory(1, False, (4, 5, 6), {}),
        Trajectory(2, False, (), {}),
    )
    return Played(tree, chains, continuations)


def drawn(
    rule: TreeGrpoForks, scene: Played, count: int, seed: int, *, again: bool = False
) -> dict[int, int]:
    choose = rule.again if again else rule.choose
    choices = choose(scene, count, step=0, rng=np.random.default_rng(seed))
    return {choice.place: choice.count for choice in choices}


def test_every_tree_is_expanded_alike(world) -> None:
    """Two nodes a tree, with replacement; the tree of one turn has none."""
    scene, rule = played(world), TreeGrpoForks(2)
    for seed in range(30):
        found = drawn(rule, scene, 6, seed)
        assert sum(found.values()) == 4
        assert sum(found.get(node, 0) for node in (1, 2)) == 2
        assert set(found) <= {1, 2, 4, 5, 6}


def test_later_rounds_draw_from_branches_too(world) -> None:
    """A branch from node 2 with nodes 8 9 belongs to the first tree, one from node 8 with 11 as well."""
    branches = (Trajectory(3, True, (8, 9), {}, anchor=2), Trajectory(4, True, (11,), {}, anchor=8))
    scene, rule = played(world, *branches), TreeGrpoForks(1, rounds=2)
    first = set()
    for seed in range(60):
        found = drawn(rule, scene, 3, seed, again=True)
        own = [node for node in found if node not in (4, 5, 6)]
        assert len(own) == 1
        first |= set(own)
    assert first == {1, 2, 8, 9, 11}


def test_propensities_by_hand(world) -> None:
    """Two draws with replacement of two nodes: 3/4; of three: 5/9."""
    choices = TreeGrpoForks(2).choose(played(world), 6, step=0, rng=np.random.default_rng(0))
    for choice in choices:
        assert choice.propensity == pytest.approx(3 / 4 if choice.place < 3 else 5 / 9)


def test_the_budget_is_m_times_ln_plus_one(world) -> None:
    """M = 2, L = 2, N = 3: 2 (2*3 + 1) = 14 rollouts a prompt."""
    play = world(values=[0.5] * 2, turns=[3] * 2)
    scheduler = Composed(UniformRoots(2), TreeGrpoForks(3, rounds=2), seed=1)
    forest, metrics = play.step(scheduler, Budget(trajectories=28))
    assert [len(tree.rollouts) for tree in forest.trees] == [14, 14]
    assert (metrics["roots"], metrics["forks"], metrics["unspent"]) == (4, 24, 0)


def test_one_turn_episodes_get_fresh_roots(world) -> None:
    play = world(values=[0.5], turns=[1])
    _, metrics = play.step(Composed(UniformRoots(2), TreeGrpoForks(2)), Budget(trajectories=6))
    assert (metrics["forks"], metrics["fresh_roots"]) == (0, 4)
    assert "not used by the fork rule: 4 continuations" in list(play.grants.values())[-1].reason


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="nodes and rounds must be at least 1"):
        TreeGrpoForks(0)
    with pytest.raises(ValueError, match="nodes and rounds must be at least 1"):
        TreeGrpoForks(1, rounds=0)
