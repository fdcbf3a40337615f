"""What learned predictors have in common: what of a step they take up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, StopReason
from trace_gym.core.tree import RolloutTree
from trace_gym.train.bayes_head import BayesHead
from trace_gym.train.head import Head
from trace_gym.train.value_head import ValueHead


def cut(garden: Any, tree: RolloutTree, *, anchor: int = 0, turns: int = 1) -> None:
    """A rollout that is given up after so many turns."""
    rollout = tree.start(grant=0, anchor=anchor)
    unmet = (Verdict.of("goal", False, evidence=""),)
    for _ in range(turns):
        parent = tree.rollouts[rollout].tip
        tree.append(garden.turn(tree, parent, rollout, Actor.POLICY, unmet, False))
    tree.stop(rollout, StopReason.CUT, worth=0.05)


@pytest.mark.parametrize("make", [ValueHead, BayesHead])
@pytest.mark.parametrize("alone", [True, False])
def test_a_rollout_cut_after_its_first_turn_teaches_nothing(
    gardeners: Any, make: Callable[[], Head], alone: bool
) -> None:
    with_it, without = make(), make()
    for head in (with_it, without):
        garden = gardeners(0)
        garden.play(garden.plant(), True, turns=2)
        tree = garden.trees[0]
        garden.play(tree, False, turns=2)
        if head is with_it:
            cut(garden, garden.plant() if alone else tree)
            if not alone:
                cut(garden, tree, anchor=1)
        head.learn(garden.forest(0))
    assert with_it.state_dict() == without.state_dict()


@pytest.mark.parametrize("make", [ValueHead, BayesHead])
def test_a_rollout_cut_later_counts_where_it_began(gardener: Any, make: Callable[[], Head]) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=2)
    cut(gardener, tree, turns=2)
    head = make()
    head.learn(gardener.forest(0))
    ((_, won, rollouts),) = head.state_dict()["calibration"]["root"]["groups"]
    assert (won, rollouts) == (1, 2)
