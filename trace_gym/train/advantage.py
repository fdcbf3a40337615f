"""Credit on rollout trees: which turn is to be made likelier, and by how much.

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
from trace_gym.train.outline import Outline, Rule, Vector, spread


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


def drgrpo(outline: Outline) -> dict[int, Vector]:
    """r - mean over the task's leaves (Dr.GRPO, arXiv 2503.20783)."""
    mean = outline.mean(0) if outline.outcomes else 0.0
    return spread(outline, {leaf: r - mean for leaf, r in outline.outcomes.items()})


def grpo(outline: Outline) -> dict[int, Vector]:
    """(r - mean) / (std + 1e-4) with the sample deviation (GRPO, arXiv 2402.03300); a single leaf gets 0."""
    outcomes = list(outline.outcomes.values())
    return spread(outline, {leaf: _score(r, outcomes) for leaf, r in outline.outcomes.items()})


def _score(outcome: float, group: Sequence[float]) -> float:
    deviation = float(np.std(group, ddof=1)) if len(group) > 1 else 0.0
    return (outcome - sum(group) / len(group)) / (deviation + 1e-4)


def rloo(outline: Outline) -> dict[int, Vector]:
    """r - mean of the *other* leaves = G/(G-1) (r - mean) (RLOO, arXiv 2402.14740); a single leaf gets 0."""
    count = len(outline.outcomes)
    scale = count / (count - 1) if count > 1 else 0.0
    return {leaf: a * scale for leaf, a in drgrpo(outline).items()}


def treepo(outline: Outline) -> dict[int, Vector]:
    """sum_d |G_d| (r - mean G_d) / sum_d |G_d|, G_d the leaves under the leaf's depth-d ancestor (TreePO,
    arXiv 2508.17445). Groups of one are skipped except the root's, where they add nothing but weight."""
    return _subgroups(outline, sized=True)


def treepo_mean(outline: Outline) -> dict[int, Vector]:
    """As `treepo`, with the plain mean over depths in place of the size-weighted one."""
    return _subgroups(outline, sized=False)


def _subgroups(outline: Outline, *, sized: bool) -> dict[int, Vector]:
    per_leaf: dict[int, float] = {}
    for leaf, path in outline.paths.items():
        groups = [n for n in (0, *path) if n == 0 or len(outline.below[n]) > 1]
        sizes = [len(outline.below[n]) if sized else 1 for n in groups]
        gains = [outline.outcomes[leaf] - outline.mean(n) for n in groups]
        per_leaf[leaf] = sum(s * g for s, g in zip(sizes, gains, strict=True)) / sum(sizes)
    return spread(outline, per_leaf)


def treegrpo(outline: Outline) -> dict[int, Vector]:
    """z-score within the task + z-score within the tree (Tree-GRPO, arXiv 2509.21240): a tree is all that
    grew from one first turn. The deviation is `grpo`'s; a group of one adds 0."""
    trees: dict[int, list[float]] = {}
    for leaf, path in outline.paths.items():
        trees.setdefault(path[0], []).append(outline.outcomes[leaf])
    whole = list(outline.outcomes.values())
    return spread(
        outline,
        {
            leaf: _score(outline.outcomes[leaf], whole) + _score(outline.outcomes[leaf], trees[path[0]])
            for leaf, path in outline.paths.items()
        },
    )


def gigpo(outline: Outline) -> dict[int, Vector]:
    """(r - mean over the task) + (r - mean over the turns taken in the same state) (GiGPO, arXiv 2505.10978,
    without discount, omega = 1, both terms unscaled): a turn is judged by its rollout and against the other
    turns that began where it did. A state that was met once adds 0."""
    met: dict[str, list[float]] = {}
    for leaf, path in outline.paths.items():
        for parent in (0, *path[:-1]):
            met.setdefault(outline.states[parent], []).append(outline.outcomes[leaf])
    means = {state: sum(returns) / len(returns) for state, returns in met.items()}
    episode = drgrpo(outline)
    return {
        leaf: episode[leaf]
        + np.array([outline.outcomes[leaf] - means[outline.states[parent]] for parent in (0, *path[:-1])])
        for leaf, path in outline.paths.items()
    }


def node(outline: Outline) -> dict[int, Vector]:
    """A(turn s -> s') = V(s') - V(nearest forked proper ancestor of s'); 0 where nothing above is forked.
    With forks at the root only, it is Dr.GRPO."""
    return _turns(outline, leave_one_out=False)


def node_loo(outline: Outline) -> dict[int, Vector]:
    """As `node`, with V of the forked ancestor f taken over its other options:
    |C(f)| / (|C(f)| - 1) times as much. With forks at the root only, it is RLOO."""
    return _turns(outline, leave_one_out=True)


def _turns(outline: Outline, *, leave_one_out: bool) -> dict[int, Vector]:
    value = outline.values()
    advantages: dict[int, Vector] = {}
    for leaf, path in outline.paths.items():
        row, forked = np.zeros(len(path)), None
        for i, (parent, child) in enumerate(zip((0, *path[:-1]), path, strict=True)):
            forked = parent if len(outline.options[parent]) > 1 else forked
            if forked is not None:
                ways = len(outline.options[forked])
                scale = ways / (ways - 1) if leave_one_out else 1.0
                row[i] = scale * (value[child] - value[forked])
        advantages[leaf] = row
    return advantages


ADVANTAGES: Mapping[str, Rule] = {
    rule.__name__: rule for rule in (drgrpo, grpo, rloo, treepo, treepo_mean, treegrpo, gigpo, node, node_loo)
}
WHITENED = frozenset({"treepo", "treepo_mean"})
"""Rules whose definition whitens over the batch."""


def path_weights(outline: Outline) -> dict[int, Vector]:
    """W(root) = 1, W(child) = W(parent) / |C(parent)|; a branch counts with the weight of its leaf in every
    turn it shares. The only choice whose expected gradient is the chain's when forking ignores outcomes."""
    per_leaf: dict[int, float] = {}
    for leaf, path in outline.paths.items():
        per_leaf[leaf] = 1.0 / float(np.prod([len(outline.options[n]) for n in (0, *path)]))
    return spread(outline, per_leaf)


def leaf_sum_weights(outline: Outline) -> dict[int, Vector]:
    """1/n to each of the n leaves: a turn shared by k of them weighs k/n, as if trained leaf by leaf."""
    return spread(outline, dict.fromkeys(outline.paths, 1.0 / max(1, len(outline.paths))))


def node_weights(outline: Outline) -> dict[int, Vector]:
    """1/n to each turn, split evenly over the leaves through it: every turn weighs the same."""
    return {
        leaf: np.array([1.0 / (len(outline.paths) * len(outline.below[n])) for n in path])
        for leaf, path in outline.paths.items()
    }


def train_once_weights(outline: Outline) -> dict[int, Vector]:
    """1/n to each turn, all of it to the first-played leaf through it: no turn is trained for two
    outcomes."""
    return {
        leaf: np.array([(outline.below[n][0] == leaf) / len(outline.paths) for n in path])
        for leaf, path in outline.paths.items()
    }


TOKEN_WEIGHTS: Mapping[str, Rule] = {
    "path": path_weights,
    "node": node_weights,
    "leaf_sum": leaf_sum_weights,
    "train_once": train_once_weights,
}
"""How much a branch counts in the turns it shares. Every tree has mass one: with forks at the root only, all
four weigh each of its n leaves 1/n, so tasks count alike whatever number of rollouts they were given."""


def credit(
    trees: Sequence[RolloutTree],
    *,
    advantage: str = "drgrpo",
    token_weight: str = "path",
    whiten: bool | None = None,
    balance: bool = False,
    per_branch: bool = False,
) -> list[Credit]:
    """The credit of every turn of every tree, in order.

    `whiten`: standardise the branches' mean advantages over the batch; None leaves it to the rule.
    `per_branch`: a branch weighs the same whatever its length, its tokens share its weight. `balance`: then
    shift each tree's advantages, see `balanced`. Raises UnknownName for an unknown `advantage` or
    `token_weight`.
    """
    if advantage not in ADVANTAGES:
        raise unknown("advantage", advantage, list(ADVANTAGES))
    if token_weight not in TOKEN_WEIGHTS:
        raise unknown("token weight", token_weight, list(TOKEN_WEIGHTS))
    outlines = [Outline.of(tree) for tree in trees]
    gains = [ADVANTAGES[advantage](outline) for outline in outlines]
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
