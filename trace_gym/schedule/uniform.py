"""Uniform allocation (GRPO, arXiv 2402.03300): the same number of rollouts for every prompt, no forks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.rule import Choice, Played


class UniformRoots:
    """`n` roots a prompt for `prompts` prompts (None: all of the pool), as many as the budget pays in full.

    Where that is fewer than the pool holds, they are drawn from it without replacement and listed in its
    order.
    """

    def __init__(self, n: int = 8, *, prompts: int | None = None) -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1 rollout a prompt, got {n}")
        if prompts is not None and prompts < 1:
            raise ValueError(f"prompts must be at least 1, got {prompts}")
        self._n = n
        self._prompts = prompts

    @property
    def pool_size(self) -> int | None:
        """As many as are played."""
        return self._prompts

    def choose(
        self, pool: Sequence[Candidate], limit: int | None, *, step: int, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """A uniform sample of the pool, `n` roots each."""
        many = len(pool) if self._prompts is None else min(len(pool), self._prompts)
        if limit is not None:
            many = min(many, limit // self._n)
        if not many:
            return []
        drawn = sorted(rng.choice(len(pool), size=many, replace=False).tolist())
        reason = f"uniform: {many} of {len(pool)} prompts, {self._n} roots each"
        return [Choice(pool[i].index, self._n, reason, many / len(pool)) for i in drawn]


class NoForks:
    """No continuations: the whole budget goes into roots."""

    @property
    def per_root(self) -> int:
        """None at all."""
        return 0

    def choose(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """Nothing."""
        return []


class Uniform(Composed):
    """GRPO's allocation: one proposal of `n` roots for each of `prompts` prompts."""

    def __init__(self, n: int = 8, *, prompts: int | None = None, seed: int = 0) -> None:
        super().__init__(UniformRoots(n, prompts=prompts), NoForks(), seed=seed)
