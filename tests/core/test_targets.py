"""Targets on a tree drawn by hand, and their biases by enumeration."""

from itertools import product

import numpy as np
import pytest

from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, StopReason, Turn
from trace_gym.core.targets import (
    bare_only,
    continuations_only,
    own_outcome,
    played,
    prefixes,
    recursive_backup,
)
from trace_gym.core.task import Limits, Split, Task
from trace_gym.core.tokens import floats
from trace_gym.core.tree import RolloutTree


def planted(max_turns: int = 6) -> RolloutTree:
    return RolloutTree.planted(
        0, Task("t", "suite", Split.TRAIN, "family", limits=Limits(max_turns=max_turns))
    )


def play(
    tree: RolloutTree, anchor: int, turns: int, won: bool, stop: StopReason | None = StopReason.TERMINATED
) -> list[int]:
    """Play `turns` turns from `anchor`; returns the new nodes."""
    rollout = tree.start(grant=0, anchor=anchor)
    nodes: list[int] = []
    for turn in range(turns):
        verdict = Verdict.of("won", won and turn == turns - 1, evidence="")
        state = floats([float(len(tree.turns))])
        parent = tree.rollouts[rollout].tip
        nodes.append(
            tree.append(Turn(parent, rollout, Actor.POLICY, "", (verdict,), hidden=state, terminated=False))
        )
    if stop is not None:
        tree.stop(rollout, stop)
    return nodes


@pytest.fixture
def tree() -> RolloutTree:
    """
    0 - 1 - 2 - 3   lost        rollout 0
        |\\- 6 - 7  won         rollout 2, from node 1
        |\\- 8      lost        rollout 3, from node 1
        |\\- 10     running     rollout 5, from node 1
      - 4 - 5       won         rollout 1
        |\\- 9      censored    rollout 4, from node 4
    and rollout 6, cut by the budget before its first turn.
    """
    tree = planted()
    assert play(tree, 0, 3, False) == [1, 2, 3]
    assert play(tree, 0, 2, True) == [4, 5]
    assert play(tree, 1, 2, True) == [6, 7]
    assert play(tree, 1, 1, False, StopReason.MAX_TURNS) == [8]
    assert play(tree, 4, 1, True, StopReason.CENSORED) == [9]
    assert play(tree, 1, 1, True, None) == [10]
    assert play(tree, 4, 0, True) == []
    return tree


def test_backup_by_hand(tree: RolloutTree) -> None:
    """Node 1 has the leaves 3, 7, 8: one of three won. The root has these and 5: two of four."""
    third = pytest.approx(1 / 3)
    assert recursive_backup(tree) == {
        0: (0.5, 4),
        1: (third, 3),
        2: (0.0, 1),
        3: (0.0, 1),
        4: (1.0, 1),
        5: (1.0, 1),
        6: (1.0, 1),
        7: (1.0, 1),
        8: (0.0, 1),
    }


def test_backup_is_the_recursion_of_the_paper(tree: RolloutTree) -> None:
    """V(y) = (1/n_y) sum_c n_c V(c) at every inner node."""
    backup = recursive_backup(tree)
    for node, children in enumerate(tree.children()):
        below = [backup[c] for c in children if c in backup]
        if below:
            weight = sum(n for _, n in below)
            assert backup[node] == (pytest.approx(sum(v * n for v, n in below) / weight), weight)


def test_own_outcomes_by_hand(tree: RolloutTree) -> None:
    bare = [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0), (0, 1.0), (4, 1.0), (5, 1.0)]
    continued = [(1, 1.0), (6, 1.0), (7, 1.0), (1, 0.0), (8, 0.0)]
    assert bare_only(tree) == bare
    assert continuations_only(tree) == continued
    assert sorted(own_outcome(tree)) == sorted(bare + continued)


def test_a_leaf_can_be_an_anchor() -> None:
    """A rollout that ended for want of turns is played on from its end: both outcomes count there."""
    tree = planted()
    play(tree, 0, 1, False, StopReason.CONTEXT)
    play(tree, 1, 1, True)
    assert recursive_backup(tree) == {0: (0.5, 2), 1: (0.5, 2), 2: (1.0, 1)}


def test_a_tree_without_outcomes_teaches_nothing() -> None:
    tree = planted()
    play(tree, 0, 2, True, StopReason.CANCELLED)
    assert recursive_backup(tree) == {}
    assert own_outcome(tree) == []


def test_played_and_prefixes(tree: RolloutTree) -> None:
    """The hidden state of a prefix is the one that its child's turn carries; leaves have none."""
    assert played(tree, 2) == [1, 6, 7]
    assert played(tree, 6) == [4]
    root, one, leaf = prefixes(tree, [0, 6, 7])
    assert (root.task, root.suite, root.depth, root.max_turns) == ("suite/t", "suite", 0, 6)
    assert root.hidden is not None
    assert root.hidden.tolist() == [1.0]
    assert one.depth == 2
    assert one.hidden is not None
    assert one.hidden.tolist() == [7.0]
    assert one.verdicts == tree.turns[6].verdicts
    assert leaf.hidden is None


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("k", [1, 3])
def test_biases_by_enumeration(p: float, k: int) -> None:
    """One rollout of two turns; if it fails, k continuations from its first turn; V = p throughout.

    The backup of the root reads p + (1-p) p k / (k+1). Errors of own outcomes sum to nothing at root and
    prefix alike, and the mean of continuations alone is p.
    """
    root = errors_root = errors_prefix = continued = failures = 0.0
    for outcomes in product([False, True], repeat=k + 1):
        chance = float(np.prod([p if won else 1 - p for won in outcomes]))
        tree = planted()
        play(tree, 0, 2, outcomes[0])
        if not outcomes[0]:
            for won in outcomes[1:]:
                play(tree, 1, 1, won)
            failures += chance
            continued += chance * float(np.mean([r for n, r in continuations_only(tree) if n == 1]))
        root += chance * recursive_backup(tree)[0][0]
        errors_root += chance * sum(r - p for n, r in bare_only(tree) if n == 0)
        errors_prefix += chance * sum(r - p for n, r in own_outcome(tree) if n == 1)
    assert root == pytest.approx(p + (1 - p) * p * k / (k + 1))
    assert errors_root == pytest.approx(0.0, abs=1e-12)
    assert errors_prefix == pytest.approx(0.0, abs=1e-12)
    assert continued / failures == pytest.approx(p)
