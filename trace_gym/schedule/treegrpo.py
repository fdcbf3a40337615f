"""Tree-GRPO (arXiv 2509.21240): trees are begun as chains, then expanded at random non-leaf nodes, in rounds.

A prompt's M roots begin M trees. In each of L rounds N nodes are drawn from every tree among those that are
no leaves, the branches of earlier rounds included, and continued to the end: M (L N + 1) rollouts. A turn is
a node, as in the paper. Leaves out the advantage within and between trees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from trace_gym.schedule.rule import Choice, Played


class TreeGrpoForks:
    """`nodes` (N) drawn a tree and round, over `rounds` (L). A node may be drawn more than once."""

    def __init__(self, nodes: int = 2, *, rounds: int = 1) -> None:
        if nodes < 1 or rounds < 1:
            raise ValueError(f"nodes and rounds must be at least 1, got {nodes} and {rounds}")
        self._nodes = nodes
        self._rounds = rounds

    @property
    def per_root(self) -> int:
        """L N."""
        return self._nodes * self._rounds

    def choose(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """The first round."""
        return self._expand(played, count, rng=rng)

    def again(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """The next one."""
        return self._expand(played, count, rng=rng)

    def _expand(self, played: Played, count: int, *, rng: np.random.Generator) -> Sequence[Choice]:
        drawn: Counter[int] = Counter()
        chance: dict[int, float] = {}
        for nodes in self._trees(played):
            if nodes:
                many = min(self._nodes, count - drawn.total())
                drawn.update(rng.choice(nodes, size=many).tolist())
                chance |= dict.fromkeys(nodes, 1.0 - (1.0 - 1.0 / len(nodes)) ** max(1, many))
        reason = f"tree search: {self._nodes} random nodes of every tree"
        return [Choice(node, many, reason, chance[node]) for node, many in drawn.items()]

    def _trees(self, played: Played) -> list[list[int]]:
        """The non-leaf nodes of every tree: those of a root's chain and of all branches from it."""
        trees = [list(trajectory.prefixes) for trajectory in played.trajectories]
        home = {node: tree for tree in trees for node in tree}
        for branch in played.continuations:
            tree = home.get(branch.anchor)
            if tree is not None:
                tree.extend(branch.prefixes)
                home |= dict.fromkeys(branch.prefixes, tree)
        return trees
