"""ARPO by hand: how entropy turns into branches, and where they start."""

from dataclasses import replace
from math import e, log

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.tokens import floats
from trace_gym.schedule.arpo import ArpoForks
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.uniform import UniformRoots
from trace_gym.testing import grow_tree


class Drawn:
    """A generator that always draws the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


def tree_with(*entropies: list[float]):
    """A rollout whose turns recorded these entropies, in nats."""
    tree = grow_tree("0 " + " ".join("3" for _ in entropies) + " .")
    for node, nats in enumerate(entropies, start=1):
        tree.turns[node] = replace(tree.turns[node], entropy=floats(nats))
    return tree


@pytest.mark.parametrize(("draw", "branches"), [(0.0, True), (0.59, True), (0.61, False), (0.99, False)])
def test_a_rise_by_hand(draw: float, branches: bool) -> None:
    """H = mean(.2, .4, .6) = .4 at first, then .9 of ln V = 1: dH = .5, so the bound on rand is .5 + .2 * .5,
    that is .6. The branch starts at node 1, the state after the tool's answer."""
    tree = tree_with([0.2, 0.4, 0.6], [0.9, 0.9, 0.9])
    rule = ArpoForks(vocabulary=3)
    rule._scale = log(e)
    found = rule.watch(tree, 2, 5, over=False, rng=Drawn(draw))
    assert [(choice.place, choice.count) for choice in found] == ([(1, 1)] if branches else [])
    if found:
        assert found[0].propensity == pytest.approx(0.6)
        assert found[0].reason == "turn 1: entropy rose by 0.500 after the tool's answer"


def test_only_the_first_tokens_count_and_the_vocabulary_scales() -> None:
    """A window of one token: .2 then .9, over ln 8."""
    tree = tree_with([0.2, 0.4, 0.6], [0.9, 0.0, 0.0])
    [choice] = ArpoForks(window=1, vocabulary=8).watch(tree, 2, 5, over=False, rng=Drawn(0.0))
    assert choice.propensity == pytest.approx(0.5 + 0.2 * 0.7 / log(8))


def test_the_first_turn_follows_no_tool() -> None:
    tree = tree_with([0.2], [0.9])
    assert ArpoForks().watch(tree, 1, 5, over=False, rng=Drawn(0.0)) == []


def test_a_last_turn_counts_too() -> None:
    """The rollout is over, the state before its last turn is not."""
    tree = tree_with([0.2], [0.9])
    assert [c.place for c in ArpoForks().watch(tree, 2, 5, over=True, rng=Drawn(0.0))] == [1]


def test_without_entropies_every_second_turn_branches(world) -> None:
    """dH = 0: the bound is one half. What is left over becomes fresh roots."""
    play = world(values=[0.5] * 40, turns=[3] * 40)
    _, metrics = play.step(Composed(UniformRoots(2), ArpoForks(1), seed=0), Budget(trajectories=160))
    assert metrics["forks"] + metrics["fresh_roots"] == 80
    assert metrics["unspent"] == 0
    assert 50 < metrics["forks"] < 80
    assert metrics["forks_at_1"] > 0
    assert metrics["forks_at_2"] > 0


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="per_root and branches must be at least 1"):
        ArpoForks(0)
    with pytest.raises(ValueError, match="at least 1 token of 2"):
        ArpoForks(window=0)
