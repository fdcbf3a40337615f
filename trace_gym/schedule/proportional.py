"""Prompts drawn in proportion to the contrast that is expected of them, rather than the best ones alone.

Ours. TRACE's first stage takes the prompts of highest V_root, which are alike where many are near one half; a
draw keeps the hopeless and the solved rare and the others varied. Leaves out the predictor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.belief import Belief
from trace_gym.schedule.contrast import root_contrast
from trace_gym.schedule.draw import in_proportion
from trace_gym.schedule.rule import Choice

LEAST = 1e-6
"""The contrast that any prompt is taken to have, so that none is never drawn."""


class ProportionalRoots:
    """`n` roots for each of as many prompts as the budget pays. A prompt's chance is in proportion to
    `V_root(V~(x), n) ** power`, up to 1; a power of 0 is GRPO's draw."""

    def __init__(self, n: int = 2, *, power: float = 1.0, prior: float = 0.5, cold_steps: int = 0) -> None:
        if n < 2:
            raise ValueError(f"n must be at least 2 roots a prompt (one has no contrast), got {n}")
        if power < 0.0:
            raise ValueError(f"power must not be negative, got {power}")
        self._n = n
        self._power = power
        self._belief = Belief(prior=prior, cold_steps=cold_steps)

    @property
    def pool_size(self) -> int | None:
        """As many as there are."""
        return None

    def choose(
        self, pool: Sequence[Candidate], limit: int | None, *, step: int, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """A draw from the pool, in its order."""
        many = len(pool) if limit is None else min(len(pool), limit // self._n)
        contrast = root_contrast(self._belief.values(pool, step=step), self._n)
        above = np.maximum(contrast, LEAST)
        weight = (above / above.max(initial=LEAST)) ** self._power
        places, chances = in_proportion(np.maximum(weight, np.finfo(np.float64).tiny), many, rng=rng)
        return [
            Choice(
                pool[i].index,
                self._n,
                f"{self._belief.words(pool[i].prediction, step=step)}, drawn with p={chances[i]:.2f} for "
                f"{self._n} roots mixed with p={contrast[i]:.2f}",
                float(chances[i]),
            )
            for i in places.tolist()
        ]
