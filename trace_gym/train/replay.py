"""Credit of the trees of a step and, where that is asked for, of those of the steps before once more.

The trees of the last steps cost no tokens, and they are of other prompts. They were sampled by older weights:
the ratio of the loss must be to those, which is `TrainConfig.old_logprobs = "behaviour"`. Leaves out losses,
and where trees are kept between processes (the run's journal).
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.train.config import TrainConfig
from trace_gym.train.credit import Credit, collapse, credit


class Crediting:
    """Turns forests into credit. State: the trees of the last `config.replay` forests, the oldest first."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._past: deque[list[RolloutTree]] = deque(maxlen=config.replay)

    def of(self, forest: Forest) -> tuple[list[Credit], list[Credit]]:
        """The credit of the forest's trees, and of those remembered that have something to teach; then it is
        remembered itself."""
        again = [c for trees in self._past for c in self._credit(trees) if c.contrast]
        if self._config.replay_gains:
            again = [found for c in again if (found := gains(c)).contrast]
        fresh = self._credit(forest.trees)
        self.remember(forest)
        return fresh, again

    def remember(self, forest: Forest) -> None:
        """Take note of a forest that was trained on before."""
        self._past.append(forest.trees)

    def _credit(self, trees: list[RolloutTree]) -> list[Credit]:
        config = self._config
        return credit(
            trees,
            advantage=config.advantage,
            token_weight=config.token_weight,
            whiten=config.whiten,
            balance=config.balance,
            per_branch=config.rule.per == "branch",
            discount=config.discount,
        )


def gains(found: Credit) -> Credit:
    """Only what is to be made likelier: advantages max(A, 0) (self-imitation, arXiv 1806.05635)."""
    branches = [replace(b, advantages=np.maximum(b.advantages, 0.0)) for b in found.branches]
    return collapse(found.tree, branches)
