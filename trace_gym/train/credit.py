"""Credit on rollout trees: the advantage of every turn, weighed, and collapsed onto the tree's nodes.

Pure: a tree goes in, numbers per turn come out. A *branch* is the path to a leaf whose outcome is known; a
censored, cancelled, running or invalid rollout is no branch, so it neither counts as a failure nor is
trained. Leaves out losses and tokens: every sampled token of a turn carries the turn's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trace_gym.core.episode import Actor
from trace_gym.core.errors import unknown
from trace_gym.core.tree import RolloutTree
from trace_gym.train.advantage import WHITENED, advantage_named
from trace_gym.train.outline import Outline, Vector
from trace_gym.train.token_weight import TOKEN_WEIGHTS


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A path of D turns to a leaf: `nodes` (D,) without the root, the `advantages` (D,) of its turns and the
    `weights` (D,) with which this branch counts in each of them."""

    leaf: int
    nodes: tuple[int, ...]
    advantages: Vector
    weights: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Credit:
    """A tree with its branches and, over its N nodes, their collapse: `plus` (N,) = sum_b W_b max(A_b, 0),
    `minus` (N,) = sum_b W_b min(A_b, 0) and `weight` (N,) = sum_b W_b over the branches b through a node.
    All three are 0 at nodes that the policy did not play."""

    tree: RolloutTree
    branches: tuple[Branch, ...]
    plus: Vector
    minus: Vector
    weight: Vector

    @property
    def contrast(self) -> bool:
        """Is there anything to learn from this tree?"""
        return bool(np.any(self.plus) or np.any(self.minus))


def credit(
    trees: Sequence[RolloutTree],
    *,
    advantage: str = "drgrpo",
    token_weight: str = "path",
    whiten: bool | None = None,
    balance: bool = False,
    per_branch: bool = False,
    discount: float = 0.5,
) -> list[Credit]:
    """The credit of every turn of every tree, in order.

    `whiten`: standardise the branches' mean advantages over the batch; None leaves it to the rule.
    `per_branch`: a branch weighs the same whatever its length, its tokens share its weight. `balance`: then
    shift each tree's advantages, see `balanced`. `discount`: of rules that take one. Raises UnknownName for
    an unknown `advantage` or `token_weight`.
    """
    rule = advantage_named(advantage, discount=discount)
    if token_weight not in TOKEN_WEIGHTS:
        raise unknown("token weight", token_weight, list(TOKEN_WEIGHTS))
    outlines = [Outline.of(tree) for tree in trees]
    gains = [rule(outline) for outline in outlines]
    if advantage in WHITENED if whiten is None else whiten:
        gains = whitened(gains)
    found = []
    for tree, outline, gain in zip(trees, outlines, gains, strict=True):
        weights = TOKEN_WEIGHTS[token_weight](outline)
        if per_branch:
            weights = {leaf: w / _sampled(tree, outline.paths[leaf]) for leaf, w in weights.items()}
        if balance:
            gain = balanced(tree, outline, gain, weights)
        branches = [Branch(leaf, outline.paths[leaf], gain[leaf], weights[leaf]) for leaf in outline.paths]
        found.append(collapse(tree, branches))
    return found


def _sampled(tree: RolloutTree, path: Sequence[int]) -> int:
    """How many tokens of a path the policy sampled, at least 1."""
    turns = (tree.turns[node] for node in path)
    return max(1, sum(len(turn.action_ids) for turn in turns if turn.actor is Actor.POLICY))


def whitened(gains: Sequence[Mapping[int, Vector]]) -> list[dict[int, Vector]]:
    """Advantages less their mean, over their deviation; both over the branches of all trees with contrast,
    each branch counted once by its mean. Trees without contrast keep their zeros."""
    live = [any(np.any(a) for a in gain.values()) for gain in gains]
    means = [float(a.mean()) for gain, on in zip(gains, live, strict=True) if on for a in gain.values()]
    if not means:
        return [dict(gain) for gain in gains]
    centre, deviation = float(np.mean(means)), float(np.std(means)) + 1e-8
    return [
        {leaf: (a - centre) / deviation if on else a for leaf, a in gain.items()}
        for gain, on in zip(gains, live, strict=True)
    ]


def balanced(
    tree: RolloutTree, outline: Outline, gain: dict[int, Vector], weights: Mapping[int, Vector]
) -> dict[int, Vector]:
    """Advantages shifted by one number so that over the tree's sampled tokens, weighted, they add up to zero.

    Where failures are longer than successes (an agent that is lost goes on to the turn limit), r - mean pulls
    most tokens down, the habits that all rollouts share among them, and the policy forgets how to speak
    before it learns what to do. With `drgrpo` and forks at the root only, the shifted baseline is OPO's
    (arXiv 2505.23585), the one of least variance: b = sum_i l_i r_i / sum_i l_i, l_i the length of rollout i.
    A tree without contrast keeps its zeros.
    """
    total = mass = 0.0
    for leaf, path in outline.paths.items():
        turns = [tree.turns[node] for node in path]
        tokens = weights[leaf] * [len(t.action_ids) * (t.actor is Actor.POLICY) for t in turns]
        total, mass = total + float(tokens @ gain[leaf]), mass + float(tokens.sum())
    if not mass or not any(np.any(a) for a in gain.values()):
        return gain
    return {leaf: a - total / mass for leaf, a in gain.items()}


def collapse(tree: RolloutTree, branches: Sequence[Branch]) -> Credit:
    """Sum the branches through each node into A+, A- and weight, exact for every loss that is linear in
    max(A, 0) and in min(A, 0): sum_b PPO_b = A+ min(r, 1+eh) + A- max(r, 1-el)."""
    plus, minus, weight = (np.zeros(len(tree.turns)) for _ in range(3))
    played = np.array([turn.actor is Actor.POLICY for turn in tree.turns])
    for branch in branches:
        at = np.array(branch.nodes)
        mass = branch.weights * played[at]
        plus[at] += mass * np.maximum(branch.advantages, 0.0)
        minus[at] += mass * np.minimum(branch.advantages, 0.0)
        weight[at] += mass
    return Credit(tree, tuple(branches), plus, minus, weight)
