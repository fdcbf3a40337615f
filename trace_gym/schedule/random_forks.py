"""Continuations from random prefixes: the control that shows what *choosing* prefixes is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trace_gym.schedule.rule import Choice, Played


class RandomForks:
    """As many continuations as TRACE (`per_root` a root), on non-leaf prefixes (t >= 1) at random.

    They are spread as evenly as they go, each prefix equally likely: what TRACE does with a constant
    predictor.
    """

    def __init__(self, per_root: int = 2) -> None:
        if per_root < 1:
            raise ValueError(f"per_root must be at least 1 continuation a root, got {per_root}")
        self._per_root = per_root

    @property
    def per_root(self) -> int:
        """Continuations a root earns."""
        return self._per_root

    def choose(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """Prefixes in a random order, taken round and round."""
        nodes = [node for trajectory in played.trajectories for node in trajectory.prefixes]
        if not nodes:
            return []
        rounds, extra = divmod(count, len(nodes))
        counts = np.full(len(nodes), rounds)
        counts[rng.permutation(len(nodes))[:extra]] += 1
        reason = f"random: {count} continuations over {len(nodes)} prefixes"
        share = min(1.0, count / len(nodes))
        return [Choice(node, int(k), reason, share) for node, k in zip(nodes, counts, strict=True) if k]
