"""A rollout tree reduced to what credit needs: its branches, what came of them, and what they share.

Leaves out tokens, actors and what the numbers are for (`advantage.py`, `token_weight.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trace_gym.core.check import potential
from trace_gym.core.tree import RolloutTree

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A tree reduced to its branches. `paths` leaf -> nodes without the root, in the order of play; `below`
    node -> the leaves at or under it, first played first; `options` node -> its children that lead to a leaf,
    and the node itself where a rollout ended there. |options| is |C(node)|: a leaf from which others were
    continued counts its own ending as one. `states` node -> what the agent stood before there: nodes that
    looked the same in every respect have the same state, a node of which nothing is known one of its own.
    `parents` of all nodes but the root; `progress` by which a node's turn raised its checks' potential."""

    outcomes: Mapping[int, float]
    paths: Mapping[int, tuple[int, ...]]
    below: Mapping[int, tuple[int, ...]]
    options: Mapping[int, tuple[int, ...]]
    states: Mapping[int, str]
    parents: Mapping[int, int]
    progress: Mapping[int, float]

    @classmethod
    def of(cls, tree: RolloutTree) -> Outline:
        """The outline of a tree; empty where no outcome is known."""
        rollouts, outcomes = tree.leaves(), tree.outcomes()
        paths = {leaf: tuple(tree.path(leaf)) for leaf in sorted(outcomes, key=rollouts.__getitem__)}
        below: dict[int, list[int]] = {}
        options: dict[int, dict[int, None]] = {}
        for leaf, path in paths.items():
            for node in (0, *path):
                below.setdefault(node, []).append(leaf)
            for parent, child in zip((0, *path), (*path, leaf), strict=True):
                options.setdefault(parent, {})[child] = None
        parents = {node: tree.turns[node].parent for node in sorted(options) if node}
        phi = {node: potential(tree.turns[node].verdicts) for node in options}
        return cls(
            outcomes,
            paths,
            {node: tuple(leaves) for node, leaves in below.items()},
            {node: tuple(ways) for node, ways in options.items()},
            {node: tree.turns[node].digest or f"node {node}" for node in options},
            parents,
            {0: 0.0} | {node: phi[node] - phi[parent] for node, parent in parents.items()},
        )

    def mean(self, node: int) -> float:
        """The plain mean outcome of the leaves at or under a node."""
        leaves = self.below[node]
        return sum(self.outcomes[leaf] for leaf in leaves) / len(leaves)

    def values(self) -> dict[int, float]:
        """V(node) = mean over its options, V(ending) = outcome: every fork is averaged by itself."""
        value: dict[int, float] = {}
        for node in sorted(self.options, reverse=True):
            ways = self.options[node]
            value[node] = sum(self.outcomes[w] if w == node else value[w] for w in ways) / len(ways)
        return value


Rule: TypeAlias = Callable[[Outline], dict[int, Vector]]
"""An advantage rule: outline -> leaf -> (D,), one advantage for every turn of the leaf's path."""


def spread(outline: Outline, per_leaf: Mapping[int, float]) -> dict[int, Vector]:
    """One number a leaf as an advantage of every turn of its path."""
    return {leaf: np.full(len(path), per_leaf[leaf]) for leaf, path in outline.paths.items()}
