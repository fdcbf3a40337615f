"""ARPO (arXiv 2507.19849): a rollout splits after a tool's answer at which the policy became unsure.

H is the mean entropy of a turn's first `window` sampled tokens over ln `vocabulary`; dH is H less that of the
path's first turn. After every later turn a branch starts at the state before it, that is after the tool's
answer, where `rand - weight dH <= threshold`, rand uniform in [0, 1) (its equation for the branching
probability P = alpha + beta dH, in the form its code gives it). What the branches do not use becomes fresh
roots of the prompt, as in the paper. Where no entropy was recorded dH is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

from trace_gym.core.tree import RolloutTree
from trace_gym.schedule.rule import Choice, Played


class ArpoForks:
    """`per_root` branches a root: the paper begins 8 of 16 rollouts at the root. Each split adds `branches`
    paths (its beam of 2)."""

    def __init__(
        self,
        per_root: int = 1,
        *,
        branches: int = 1,
        weight: float = 0.2,
        threshold: float = 0.5,
        window: int = 20,
        vocabulary: int = 151_936,
    ) -> None:
        if per_root < 1 or branches < 1:
            raise ValueError(f"per_root and branches must be at least 1, got {per_root} and {branches}")
        if window < 1 or vocabulary < 2:
            raise ValueError(f"at least 1 token of 2 in the vocabulary, got {window} of {vocabulary}")
        self._per_root = per_root
        self._branches = branches
        self._weight = weight
        self._threshold = threshold
        self._window = window
        self._scale = log(vocabulary)

    @property
    def per_root(self) -> int:
        """Branches a root."""
        return self._per_root

    def watch(
        self, tree: RolloutTree, node: int, count: int, *, over: bool, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """Split before this turn, if it began less surely than the first."""
        parent = tree.turns[node].parent
        if parent == 0 or tree.turns[parent].done:
            return []
        first = tree.path(node)[0]
        rise = self._entropy(tree, node) - self._entropy(tree, first)
        chance = min(1.0, max(0.0, self._threshold + self._weight * rise))
        if rng.random() - self._weight * rise > self._threshold:
            return []
        many = min(count, self._branches)
        reason = f"turn {tree.depth(parent)}: entropy rose by {rise:.3f} after the tool's answer"
        return [Choice(parent, many, reason, max(chance, 1e-9))]

    def choose(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """Nothing: rollouts split while they are played."""
        return []

    def again(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """Nothing: what is left becomes fresh roots."""
        return []

    def _entropy(self, tree: RolloutTree, node: int) -> float:
        """Normalised: 0 where the policy was sure or nothing was recorded."""
        begun = tree.turns[node].entropy[: self._window]
        return float(np.mean(begun)) / self._scale if len(begun) else 0.0
