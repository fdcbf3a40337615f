"""Which turn is to be made likelier, and by how much: advantages on rollout trees, by name.

Pure: an outline goes in, numbers per turn of every branch come out. Leaves out how much a branch counts in
turns that it shares (`token_weight.py`) and what becomes of a tree (`credit.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from trace_gym.core.errors import unknown
from trace_gym.train.outline import Outline, Rule, Vector, spread


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


def checks(outline: Outline, *, discount: float = 0.5) -> dict[int, Vector]:
    """Q(turn) - mean Q of the turns that began in the same state, where

    Q(n) = phi(n) - phi(parent of n) + mean over options c of n: r if play ended there, else discount Q(c),

    phi the potential of a node's checks. A turn is judged by what its checks gained and by what came of it
    soon after, against the other turns that were taken where it was: so a tree without a single success
    teaches too, and a fork is a comparison made on purpose. Rewards by turn as in MT-GRPO (arXiv 2505.11821),
    compared in the same state as in GiGPO; every mean weighs options alike, however many leaves they have.
    Unlike outcome rules it pays for checks: what they score must be worth doing.
    """
    mass: dict[int, float] = {0: 1.0}
    gain: dict[int, float] = {}
    for node in sorted(outline.options):
        mass |= {way: mass[node] / len(outline.options[node]) for way in outline.options[node] if way != node}
    for node in sorted(outline.options, reverse=True):
        ways = outline.options[node]
        after = sum(outline.outcomes[w] if w == node else discount * gain[w] for w in ways) / len(ways)
        gain[node] = outline.progress[node] + after
    met: dict[str, list[int]] = {}
    for node, parent in outline.parents.items():
        met.setdefault(outline.states[parent], []).append(node)
    turn: dict[int, float] = {}
    for nodes in met.values():
        mean = sum(mass[n] * gain[n] for n in nodes) / sum(mass[n] for n in nodes)
        turn |= {n: gain[n] - mean if len(nodes) > 1 else 0.0 for n in nodes}
    return {leaf: np.array([turn[n] for n in path]) for leaf, path in outline.paths.items()}


ADVANTAGES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (drgrpo, grpo, rloo, treepo, treepo_mean, treegrpo, gigpo, node, node_loo, checks)
}
WHITENED = frozenset({"treepo", "treepo_mean"})
"""Rules whose definition whitens over the batch."""


def advantage_named(name: str, *, discount: float) -> Rule:
    """The rule of a name, with the `discount` if it takes one. Raises UnknownName."""
    if name not in ADVANTAGES:
        raise unknown("advantage", name, list(ADVANTAGES))
    return partial(checks, discount=discount) if name == checks.__name__ else ADVANTAGES[name]
