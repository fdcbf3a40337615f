"""What a rollout tree teaches about success from a prefix: targets for predictors, and their prefixes.

Pure functions. A rollout counts where it took a turn and its outcome is known; one that was cut counts with
its worth, and only where it stood before it was found hopeless: what is true there is for those to say that
played on. Under TRACE the number of continuations at a prefix depends on the outcome observed there, so
averages over a tree are biased; every docstring says how. Leaves out the predictors.
"""

from __future__ import annotations

from collections.abc import Iterable

from trace_gym.core.predictor import Prefix
from trace_gym.core.tree import RolloutTree


def recursive_backup(tree: RolloutTree) -> dict[int, tuple[float, float]]:
    """TRACE's target: node -> (value, weight) for every node with a known leaf at or below it.

    `V(leaf) = r`, `V(y) = (1/n_y) sum_c n_c V(c)`, n_y the known leaves at or below y; the weight is n_y.

    Biased for a forked prefix and all above it where forks follow outcomes or V~: what they count was
    granted because a trajectory failed where success was likely, or the reverse. Under TRACE this draws
    values towards 1/2. The simplest case: V = p everywhere and k continuations after a failure only make the
    root's expectation p + (1-p) p k / (k+1).
    """
    leaves = [0.0] * len(tree.turns)
    wins = [0.0] * len(tree.turns)
    for rollout, outcome in _known(tree):
        for end in taught(tree, rollout)[-1:]:
            leaves[end] += 1.0
            wins[end] += outcome
    for node in range(len(tree.turns) - 1, 0, -1):
        parent = tree.turns[node].parent
        leaves[parent] += leaves[node]
        wins[parent] += wins[node]
    return {node: (wins[node] / n, n) for node, n in enumerate(leaves) if n}


def own_outcome(tree: RolloutTree) -> list[tuple[int, float]]:
    """(node, outcome) of every known rollout, for its anchor and every node it played itself, leaf included.

    Each label alone is unbiased for V(node) given the history there, for continuations do not know why their
    anchor was chosen. Which prefixes have many labels does depend on outcomes: a learner that pools prefixes
    sees more of those the scheduler liked.
    """
    return _labels(tree, _known(tree))


def bare_only(tree: RolloutTree) -> list[tuple[int, float]]:
    """`own_outcome` of the rollouts that started at the root. Unbiased, pooled or not, while the number of
    roots does not depend on outcomes; the only labels of the root in any case."""
    return _labels(tree, [known for known in _known(tree) if tree.bare(known[0])])


def played_out(tree: RolloutTree) -> list[tuple[int, float]]:
    """What predictors are judged by: (node, outcome) for every bare rollout with a known outcome that was not
    cut, at every node of its path but the leaf. The worth of one that was cut is the predictor's own word."""
    leaves = tree.leaves()
    whole = [known for known in _known(tree) if tree.rollouts[known[0]].worth is None and tree.bare(known[0])]
    return [(node, outcome) for node, outcome in _labels(tree, whole) if node not in leaves]


def continuations_only(tree: RolloutTree) -> list[tuple[int, float]]:
    """`own_outcome` of the rollouts that started at a prefix. The mean at an anchor is unbiased for V there,
    the outcome that led to its choice being left out; prefixes that were not chosen have no label."""
    return _labels(tree, [known for known in _known(tree) if not tree.bare(known[0])])


def played(tree: RolloutTree, rollout: int) -> list[int]:
    """The rollout's anchor and the nodes it played itself, in order; the last is its tip."""
    record = tree.rollouts[rollout]
    nodes = [record.tip]
    while nodes[-1] != record.anchor:
        nodes.append(tree.turns[nodes[-1]].parent)
    return nodes[::-1]


def taught(tree: RolloutTree, rollout: int) -> list[int]:
    """The nodes of `played` that the rollout's end says something about, in order: of one that was cut
    neither the prefix that was judged nor the turn played meanwhile."""
    nodes = played(tree, rollout)
    return nodes if tree.rollouts[rollout].worth is None else nodes[:-2]


def prefixes(tree: RolloutTree, nodes: Iterable[int]) -> list[Prefix]:
    """The prefixes that end at `nodes`. The hidden state is the one that a child's turn carries, None at a
    leaf."""
    hidden = {turn.parent: turn.hidden for turn in reversed(tree.turns) if turn.parent >= 0}
    limit = tree.task.limits.max_turns
    return [
        Prefix(
            tree.task.key,
            tree.task.suite,
            tree.depth(node),
            limit,
            verdicts=tree.turns[node].verdicts,
            hidden=hidden.get(node),
        )
        for node in nodes
    ]


def _known(tree: RolloutTree) -> list[tuple[int, float]]:
    """(rollout, outcome) for every rollout that counts."""
    values = tree.values()
    return [(rollout, values[tip]) for tip, rollout in tree.leaves().items() if tip in values]


def _labels(tree: RolloutTree, known: list[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(node, outcome) for rollout, outcome in known for node in taught(tree, rollout)]
