"""Root rules that give every prompt of a random batch between `least` and `most` roots, by predicted success.

Leaves out how the roots are shared out, which is each method's own (`knapsack`, `vip`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.belief import Belief
from trace_gym.schedule.contrast import Counts, Reals
from trace_gym.schedule.draw import uniformly
from trace_gym.schedule.rule import Choice


class BoundedRoots(ABC):
    """A budget of `n` roots a prompt on average, over `prompts` prompts drawn at random (None: as many as it
    pays), every one of them between `least` and `most`."""

    def __init__(
        self,
        n: int,
        *,
        prompts: int | None,
        least: int,
        most: int,
        prior: float,
        cold_steps: int,
    ) -> None:
        if least < 2:
            raise ValueError(f"least must be at least 2 roots a prompt, got {least}")
        if not least <= n <= most:
            raise ValueError(f"n must lie between least and most, got {least}, {n}, {most}")
        if prompts is not None and prompts < 1:
            raise ValueError(f"prompts must be at least 1, got {prompts}")
        self._n = n
        self._prompts = prompts
        self._least = least
        self._most = most
        self._belief = Belief(prior=prior, cold_steps=cold_steps)

    @abstractmethod
    def shares(self, v: Reals, total: int, *, least: int, most: int, rng: np.random.Generator) -> Counts:
        """Counts (n,) between `least` and `most`, by predicted success `v` (n,), summing to `total` where
        that can be."""

    @abstractmethod
    def worth(self, v: float, m: int) -> str:
        """What `m` roots do for a prompt of success `v`, for the reason of a grant."""

    @property
    def pool_size(self) -> int | None:
        """As many as are played."""
        return self._prompts

    def choose(
        self, pool: Sequence[Candidate], limit: int | None, *, step: int, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """All the budget pays, over a random batch."""
        many = len(pool) if self._prompts is None else min(len(pool), self._prompts)
        many = many if limit is None else min(many, limit // self._n)
        places, share = uniformly(len(pool), many, rng=rng)
        batch = [pool[i] for i in places]
        v = self._belief.values(batch, step=step)
        counts = self.shares(v, self._n * len(batch), least=self._least, most=self._most, rng=rng)
        return [
            Choice(c.index, int(m), self._reason(c, int(m), step=step), share)
            for c, m in zip(batch, counts, strict=True)
        ]

    def _reason(self, candidate: Candidate, m: int, *, step: int) -> str:
        v = self._belief.value(candidate.prediction, step=step)
        words = self._belief.words(candidate.prediction, step=step)
        return f"{words}: {m} roots {self.worth(v, m)}"
