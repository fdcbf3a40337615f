"""PCL (arXiv 2510.01135): of a larger pool, the prompts whose predicted success is closest to one half.

From k*B candidates the B with the least |V~(x) - tau| are played n times each, tau = 0.5 (its equation for
the prompt filter). With a constant predictor these are random prompts. Leaves out the value model itself:
whatever predictor is configured stands in for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.belief import Belief
from trace_gym.schedule.draw import lowest
from trace_gym.schedule.rule import Choice


class PclRoots:
    """`n` roots for each of `prompts` prompts (None: as many as the budget pays), from a pool `pool_factor`
    times as large, the closest to `target` first."""

    def __init__(
        self,
        n: int = 8,
        *,
        prompts: int | None = None,
        pool_factor: float = 4.0,
        target: float = 0.5,
        prior: float = 0.5,
        cold_steps: int = 0,
    ) -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1 rollout a prompt, got {n}")
        if prompts is not None and prompts < 1:
            raise ValueError(f"prompts must be at least 1, got {prompts}")
        if pool_factor < 1.0:
            raise ValueError(f"pool_factor must be at least 1, got {pool_factor}")
        if not 0.0 < target < 1.0:
            raise ValueError(f"target must lie in (0, 1), got {target}")
        self._n = n
        self._prompts = prompts
        self._pool_factor = pool_factor
        self._target = target
        self._belief = Belief(prior=prior, cold_steps=cold_steps)

    @property
    def pool_size(self) -> int | None:
        """`pool_factor` candidates a prompt, where their number is given."""
        return None if self._prompts is None else ceil(self._pool_factor * self._prompts)

    def choose(
        self, pool: Sequence[Candidate], limit: int | None, *, step: int, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """The prompts closest to the target, `n` roots each."""
        many = len(pool) if self._prompts is None else self._prompts
        many = many if limit is None else min(many, limit // self._n)
        v = self._belief.values(pool, step=step)
        chosen, chances = lowest(np.abs(v - self._target), many, rng=rng)
        return [
            Choice(pool[i].index, self._n, self._reason(pool[i], step=step), float(chance))
            for i, chance in zip(chosen.tolist(), chances, strict=True)
        ]

    def _reason(self, candidate: Candidate, *, step: int) -> str:
        words = self._belief.words(candidate.prediction, step=step)
        return f"{words} is among the closest to {self._target:g}"
