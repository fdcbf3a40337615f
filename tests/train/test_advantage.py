"""Credit: tables worked out by hand, and the identities that the rules promise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, StopReason
from trace_gym.core.errors import UnknownName
from trace_gym.core.tree import RolloutTree
from trace_gym.train.advantage import ADVANTAGES
from trace_gym.train.credit import Credit, credit
from trace_gym.train.outline import Outline
from trace_gym.train.token_weight import TOKEN_WEIGHTS

FORKED: Mapping[str, dict[int, list[float]]] = {
    "drgrpo": {2: [2 / 3, 2 / 3], 3: [-1 / 3, -1 / 3], 4: [-1 / 3]},
    "grpo": {2: [2 / (math.sqrt(3) + 3e-4)] * 2, 3: [-1 / (math.sqrt(3) + 3e-4)] * 2},
    "rloo": {2: [1.0, 1.0], 3: [-0.5, -0.5], 4: [-0.5]},
    "treepo": {2: [3 / 5, 3 / 5], 3: [-2 / 5, -2 / 5], 4: [-1 / 3]},
    "treepo_mean": {2: [7 / 12, 7 / 12], 3: [-5 / 12, -5 / 12], 4: [-1 / 3]},
    "treegrpo": {
        2: [2 / (math.sqrt(3) + 3e-4) + 1 / (math.sqrt(2) + 2e-4)] * 2,
        3: [-1 / (math.sqrt(3) + 3e-4) - 1 / (math.sqrt(2) + 2e-4)] * 2,
        4: [-1 / (math.sqrt(3) + 3e-4)],
    },
    "gigpo": {2: [4 / 3, 7 / 6], 3: [-2 / 3, -5 / 6], 4: [-2 / 3]},
    "node": {2: [1 / 4, 1 / 2], 3: [1 / 4, -1 / 2], 4: [-1 / 4]},
    "node_loo": {2: [1 / 2, 1.0], 3: [1 / 2, -1.0], 4: [-1 / 2]},
    "checks": {2: [0.25, 1.0], 3: [0.25, -1.0], 4: [-0.25]},
}
"""Root 0 -> 1 -> {2 (success), 3 (failure)}, and 0 -> 4 (failure)."""

WEIGHTS: Mapping[str, dict[int, list[float]]] = {
    "path": {2: [1 / 4, 1 / 4], 3: [1 / 4, 1 / 4], 4: [1 / 2]},
    "leaf_sum": {2: [1 / 3, 1 / 3], 3: [1 / 3, 1 / 3], 4: [1 / 3]},
    "node": {2: [1 / 6, 1 / 3], 3: [1 / 6, 1 / 3], 4: [1 / 3]},
    "train_once": {2: [1 / 3, 1 / 3], 3: [0.0, 1 / 3], 4: [1 / 3]},
}


@pytest.fixture
def forked(gardener: Any) -> RolloutTree:
    tree: RolloutTree = gardener.plant()
    gardener.play(tree, True, turns=2)
    gardener.play(tree, False, turns=1, anchor=1)
    gardener.play(tree, False, turns=1)
    return tree


def one(tree: RolloutTree, **options: Any) -> Credit:
    return credit([tree], **{"whiten": False, **options})[0]


@pytest.mark.parametrize("name", FORKED)
def test_advantages_by_hand(forked: RolloutTree, name: str) -> None:
    found = {branch.leaf: branch.advantages for branch in one(forked, advantage=name).branches}
    for leaf, expected in FORKED[name].items():
        np.testing.assert_allclose(found[leaf], expected, rtol=1e-12)


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_by_hand(forked: RolloutTree, name: str) -> None:
    found = {branch.leaf: branch.weights for branch in one(forked, token_weight=name).branches}
    for leaf, expected in WEIGHTS[name].items():
        np.testing.assert_allclose(found[leaf], expected, rtol=1e-12)


def test_collapse_by_hand(forked: RolloutTree) -> None:
    found = one(forked)
    np.testing.assert_allclose(found.plus, [0, 1 / 6, 1 / 6, 0, 0], atol=1e-15)
    np.testing.assert_allclose(found.minus, [0, -1 / 12, 0, -1 / 12, -1 / 6], atol=1e-15)
    np.testing.assert_allclose(found.weight, [0, 1 / 2, 1 / 4, 1 / 4, 1 / 2], atol=1e-15)


def test_gigpo_compares_turns_taken_in_the_same_state(gardener: Any) -> None:
    """Two rollouts from the root that came to look the same after one turn, a third that did not."""
    tree = gardener.plant()
    for outcome in (True, False, True):
        gardener.play(tree, outcome, turns=2)
    for node, digest in ((1, "hall"), (3, "hall"), (5, "attic")):
        tree.turns[node] = replace(tree.turns[node], digest=digest)
    found = {b.leaf: b.advantages for b in one(tree, advantage="gigpo").branches}
    np.testing.assert_allclose(found[2], [2 / 3, 1 / 3 + 1 / 2])
    np.testing.assert_allclose(found[4], [-4 / 3, -2 / 3 - 1 / 2])
    np.testing.assert_allclose(found[6], [2 / 3, 1 / 3])


@pytest.fixture
def walked(gardener: Any) -> RolloutTree:
    """Two failures of three turns; in the second one half of the goal was reached, by its second turn."""
    tree: RolloutTree = gardener.plant()
    for half in (False, True):
        for node in gardener.play(tree, False, turns=3)[1:]:
            score = 0.5 * half
            verdict = Verdict.of("goal", False, score=score, evidence="")
            tree.turns[node] = replace(tree.turns[node], verdicts=(verdict,))
    return tree


@pytest.mark.parametrize(("discount", "first"), [(1.0, 0.25), (0.8, 0.2), (0.0, 0.0)])
def test_checks_teach_where_nobody_succeeded(walked: RolloutTree, discount: float, first: float) -> None:
    """The second rollout gained 1/2 at its second turn. Only the first turns began in one state."""
    found = {b.leaf: b.advantages for b in one(walked, advantage="checks", discount=discount).branches}
    np.testing.assert_allclose(found[3], [-first, 0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(found[6], [first, 0.0, 0.0], atol=1e-15)
    assert not one(walked, advantage="drgrpo").contrast


def test_checks_compare_turns_taken_in_the_same_state(walked: RolloutTree) -> None:
    """The second turns too, once both began in one place; Q there is 0 and 1/2."""
    for node in (1, 4):
        walked.turns[node] = replace(walked.turns[node], digest="hall")
    found = {b.leaf: b.advantages for b in one(walked, advantage="checks").branches}
    np.testing.assert_allclose(found[3], [-0.125, -0.25, 0.0], atol=1e-15)
    np.testing.assert_allclose(found[6], [0.125, 0.25, 0.0], atol=1e-15)


def test_checks_weigh_options_alike_whatever_was_forked_below(gardener: Any) -> None:
    """A failure that was continued three times is one option of its state, not three."""
    tree = gardener.plant()
    gardener.play(tree, True, turns=1)
    gardener.play(tree, False, turns=2)
    before = one(tree, advantage="checks").branches[0].advantages
    for _ in range(3):
        gardener.play(tree, False, turns=1, anchor=2)
    assert one(tree, advantage="checks").branches[0].advantages == pytest.approx(before)


def test_per_branch_every_branch_weighs_the_same_whatever_its_length(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=5)
    gardener.play(tree, False, turns=1)
    made = one(tree, per_branch=True)
    sampled = np.array([len(turn.action_ids) for turn in tree.turns])
    assert [float(sampled[list(b.nodes)] @ b.weights) for b in made.branches] == pytest.approx([0.5, 0.5])
    assert float(made.weight @ sampled) == pytest.approx(1.0)


def test_a_leaf_that_was_continued_counts_its_own_ending(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, False, turns=1, stop=StopReason.CONTEXT)
    gardener.play(tree, True, turns=1, anchor=1)
    found = one(tree, advantage="node")
    assert {b.leaf: list(b.weights) for b in found.branches} == {1: [0.5], 2: [0.5, 0.5]}
    assert {b.leaf: list(b.advantages) for b in found.branches} == {1: [0.0], 2: [0.0, 0.5]}


@pytest.mark.parametrize("name", ADVANTAGES)
def test_a_single_branch_gets_nothing(gardener: Any, name: str) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=3)
    for whiten in (False, True, None):
        assert not one(tree, advantage=name, whiten=whiten).contrast


@pytest.mark.parametrize("name", ADVANTAGES)
@pytest.mark.parametrize("stop", [StopReason.CENSORED, StopReason.CANCELLED, StopReason.INVALID])
def test_what_does_not_count_changes_nothing(gardener: Any, name: str, stop: StopReason) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=2)
    gardener.play(tree, False, turns=2)
    before = one(tree, advantage=name)
    lost = gardener.play(tree, False, turns=2, anchor=1, stop=stop) + gardener.play(tree, False, stop=stop)
    after = one(tree, advantage=name)
    for stream in ("plus", "minus", "weight"):
        np.testing.assert_array_equal(getattr(after, stream)[:5], getattr(before, stream))
        assert not getattr(after, stream)[lost].any()


def test_only_the_policy_is_trained(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=3, actors=[Actor.ORACLE, Actor.AGENT])
    gardener.play(tree, False, turns=1, anchor=2)
    found = one(tree)
    assert found.weight.tolist() == [0, 0, 0, 0.5, 0.5]
    assert found.plus.tolist() == [0, 0, 0, 0.25, 0]
    assert found.minus.tolist() == [0, 0, 0, 0, -0.25]


def test_zero_contrast(gardener: Any) -> None:
    for outcome in (True, False):
        tree = gardener.plant()
        for _ in range(3):
            gardener.play(tree, outcome, turns=2)
    for name in ADVANTAGES:
        assert not any(c.contrast for c in credit(gardener.trees, advantage=name, whiten=True))


def test_an_unplayed_tree_has_no_branches(gardener: Any) -> None:
    for name in ADVANTAGES:
        for weight in TOKEN_WEIGHTS:
            found = one(gardener.plant(), advantage=name, token_weight=weight)
            assert found.branches == ()
            assert not found.contrast


def test_unknown_names_are_told() -> None:
    with pytest.raises(UnknownName, match="did you mean 'drgrpo'"):
        credit([], advantage="dr_grpo")
    with pytest.raises(UnknownName, match="did you mean 'path'"):
        credit([], token_weight="paths")


def test_whitening_over_the_batch(gardener: Any) -> None:
    for wins in (1, 2, 4):
        tree = gardener.plant()
        for i in range(4):
            gardener.play(tree, i < wins, turns=1 + i)
    found = credit(gardener.trees, advantage="treepo")
    live = [float(b.advantages.mean()) for c in found[:2] for b in c.branches]
    assert np.mean(live) == pytest.approx(0.0, abs=1e-12)
    assert np.std(live) == pytest.approx(1.0, abs=1e-6)
    assert not found[2].contrast


outcomes = st.lists(st.booleans(), min_size=1, max_size=6)


@given(wins=outcomes, turns=st.integers(1, 4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_root_forks_only(gardeners: Any, wins: list[bool], turns: int) -> None:
    """`node` is Dr.GRPO, leave-one-out is RLOO, and every weight is 1/n."""
    garden = gardeners()
    tree = garden.plant()
    for win in wins:
        garden.play(tree, win, turns=turns)
    for name, same in (("node", "drgrpo"), ("node_loo", "rloo")):
        pairs = zip(one(tree, advantage=name).branches, one(tree, advantage=same).branches, strict=True)
        for found, expected in pairs:
            np.testing.assert_allclose(found.advantages, expected.advantages, atol=1e-15)
    for weight in TOKEN_WEIGHTS:
        for branch in one(tree, token_weight=weight).branches:
            np.testing.assert_allclose(branch.weights, 1 / len(wins), rtol=1e-15)


def test_node_is_drgrpo_to_the_last_bit(gardener: Any) -> None:
    tree = gardener.plant()
    for win in (True, False, False):
        gardener.play(tree, win, turns=2)
    for found, expected in zip(
        one(tree, advantage="node").branches, one(tree, advantage="drgrpo").branches, strict=True
    ):
        assert found.advantages.tolist() == expected.advantages.tolist()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_path_weights_have_mass_one_at_every_node(gardeners: Any, seed: int) -> None:
    tree = gardeners(seed).wild()
    found, options = one(tree), Outline.of(tree).options
    assert sum(b.weights[-1] for b in found.branches) == pytest.approx(1.0)
    for node, ways in options.items():
        below = sum(found.weight[w] for w in ways if w != node)
        ending = sum(b.weights[-1] for b in found.branches if b.leaf == node)
        whole = found.weight[node] if node else 1.0
        assert below + ending == pytest.approx(whole)


@given(
    seed=st.integers(0, 10_000),
    name=st.sampled_from(sorted(ADVANTAGES)),
    weight=st.sampled_from(sorted(TOKEN_WEIGHTS)),
    ratio=st.floats(0.2, 4.0),
    dual=st.sampled_from([None, 3.0]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_collapse_equals_the_sum_over_branches(
    gardeners: Any, seed: int, name: str, weight: str, ratio: float, dual: float | None
) -> None:
    """sum_b W_b min(r A_b, clip(r) A_b) = A+ min(r, 1+eh) + A- max(r, 1-el), at every node."""
    low, high = 0.2, 0.28
    tree = gardeners(seed).wild()
    found = one(tree, advantage=name, token_weight=weight)
    held = min(max(ratio, 1 - low), dual) if dual else max(ratio, 1 - low)
    for node in range(1, len(tree.turns)):
        terms = 0.0
        for branch in found.branches:
            if node in branch.nodes:
                at = branch.nodes.index(node)
                gain = float(branch.advantages[at])
                term = min(ratio * gain, min(max(ratio, 1 - low), 1 + high) * gain)
                if dual and gain < 0:
                    term = max(term, dual * gain)
                terms += float(branch.weights[at]) * term
        collapsed = found.plus[node] * min(ratio, 1 + high) + found.minus[node] * held
        assert collapsed == pytest.approx(terms, abs=1e-12)


def test_balance_is_the_baseline_of_least_variance(gardeners: Any) -> None:
    """b = sum_i l_i r_i / sum_i l_i: two failures twice as long as the success make it 1/5, not 1/3."""
    garden = gardeners(tokens=(2, 2))
    tree = garden.plant()
    for won, turns in ((True, 1), (False, 2), (False, 2)):
        garden.play(tree, won, turns=turns)
    found = one(tree, balance=True)
    for branch, expected in zip(found.branches, (4 / 5, -1 / 5, -1 / 5), strict=True):
        np.testing.assert_allclose(branch.advantages, expected, rtol=1e-12)


@pytest.mark.parametrize("advantage", ADVANTAGES)
@pytest.mark.parametrize("weight", TOKEN_WEIGHTS)
def test_balanced_tokens_add_up_to_nothing(gardener: Any, advantage: str, weight: str) -> None:
    tree = gardener.wild()
    found = one(tree, advantage=advantage, token_weight=weight, balance=True)
    pulls = (found.plus + found.minus) * [len(turn.action_ids) for turn in tree.turns]
    assert found.contrast
    assert abs(pulls.sum()) < 1e-12 * np.abs(pulls).sum()


def test_balance_moves_no_tree_without_contrast(gardener: Any) -> None:
    tree = gardener.plant()
    for turns in (1, 3):
        gardener.play(tree, True, turns=turns)
    assert not one(tree, balance=True).contrast
