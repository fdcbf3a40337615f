"""TreePO's sampling (arXiv 2508.17445), turns for segments: paths split as they go, up to a width.

After each turn a path that goes on becomes `divergence` paths (the paper's fixed step width of 2), down to
`depth` turns, while the prompt has continuations left. Paths that end early leave some over: the fallback
draws nodes of the tree at random and continues each to the end. Leaves out the splitting by log-probability
and the early stop on repetition, which need tokens, and the advantage, which is `train.advantage.treepo`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from trace_gym.core.tree import RolloutTree
from trace_gym.schedule.rule import Choice, Played


class TreePoForks:
    """`per_root` continuations a root; with w leaves wanted from n roots that is w/n - 1."""

    def __init__(self, per_root: int = 3, *, divergence: int = 2, depth: int = 6) -> None:
        if per_root < 1:
            raise ValueError(f"per_root must be at least 1 continuation a root, got {per_root}")
        if divergence < 2:
            raise ValueError(f"divergence must be at least 2 paths, got {divergence}")
        if depth < 1:
            raise ValueError(f"depth must be at least 1 turn, got {depth}")
        self._per_root = per_root
        self._divergence = divergence
        self._depth = depth

    @property
    def per_root(self) -> int:
        """Continuations a root."""
        return self._per_root

    def watch(
        self, tree: RolloutTree, node: int, count: int, *, over: bool, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """Split a path that goes on."""
        depth = tree.depth(node)
        if over or depth > self._depth:
            return []
        many = min(count, self._divergence - 1)
        return [Choice(node, many, f"turn {depth}: the path becomes {many + 1}")]

    def choose(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """Nothing: paths split while they are played."""
        return []

    def again(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """The fallback: `count` random nodes of what was played, each with the same chance."""
        paths = (*played.trajectories, *played.continuations)
        nodes = [node for path in paths for node in path.prefixes]
        if not nodes:
            return []
        drawn = Counter(rng.choice(nodes, size=count).tolist())
        chance = 1.0 - (1.0 - 1.0 / len(nodes)) ** count
        reason = f"fallback: {count} continuations from random nodes of {len(nodes)}"
        return [Choice(node, many, reason, chance) for node, many in drawn.items()]
