"""DAPO's dynamic sampling (arXiv 2503.14476): prompts whose rollouts all ended alike are replaced by others,
until the batch is full of groups with both outcomes.

Its constraint: 0 < |{i : rollout i succeeds}| < G. What was sampled for discarded groups is spent all the
same. As soon as a group is known to be without contrast another prompt of the pool is played, rather than a
whole further batch. Leaves out the dropping of such groups from the update: they carry no advantage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.draw import uniformly
from trace_gym.schedule.rule import Choice, Standing


class DapoRoots:
    """`n` roots a prompt until `prompts` prompts have both outcomes, the pool is empty or the budget spent.

    `prompts` None: a share 1/`oversampling` of the groups that the budget pays; the paper generates three
    times its batch at a time."""

    def __init__(self, n: int = 16, *, prompts: int | None = None, oversampling: float = 3.0) -> None:
        if n < 2:
            raise ValueError(f"n must be at least 2 rollouts a prompt (one has no contrast), got {n}")
        if prompts is not None and prompts < 1:
            raise ValueError(f"prompts must be at least 1, got {prompts}")
        if oversampling < 1.0:
            raise ValueError(f"oversampling must be at least 1, got {oversampling}")
        self._n = n
        self._prompts = prompts
        self._oversampling = oversampling

    @property
    def pool_size(self) -> int | None:
        """As many as the budget may have to pay for."""
        return None if self._prompts is None else round(self._oversampling * self._prompts)

    def choose(
        self, pool: Sequence[Candidate], limit: int | None, *, step: int, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """As many groups as are wanted. ValueError where nothing bounds them."""
        if limit is None and self._prompts is None:
            raise ValueError("dapo needs a budget of trajectories or a number of prompts")
        wanted = self._prompts
        if wanted is None:
            wanted = max(1, round((limit or 0) / self._n / self._oversampling))
        many = wanted if limit is None else min(wanted, limit // self._n)
        places, share = uniformly(len(pool), many, rng=rng)
        reason = f"dynamic sampling: {self._n} roots, one of {len(places)} first groups"
        return [Choice(pool[i].index, self._n, reason, share) for i in places]

    def again(
        self,
        index: int,
        pool: Sequence[Candidate],
        standings: Mapping[int, Standing],
        *,
        limit: int | None,
        rng: np.random.Generator,
    ) -> Sequence[Choice]:
        """Another prompt in the place of one without contrast."""
        standing = standings[index]
        fresh = [candidate for candidate in pool if candidate.index not in standings]
        if standing.mixed or not fresh or (limit is not None and limit < self._n):
            return []
        drawn = fresh[int(rng.integers(len(fresh)))]
        ended = "succeeded" if standing.wins else "failed"
        reason = f"dynamic sampling: {self._n} roots in the place of a prompt whose roots all {ended}"
        return [Choice(drawn.index, self._n, reason, 1.0 / len(fresh))]
