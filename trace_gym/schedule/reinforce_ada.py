"""Reinforce-Ada (arXiv 2510.04996): prompts are sampled in rounds until they have enough of both outcomes.

Each round gives `samples` roots to every prompt that is still active. Under `balanced` a prompt leaves with
at least floor(keep/2) successes and keep - floor(keep/2) failures; under `positive` with its first success
(its algorithm's two exit conditions). After `rounds` rounds it leaves in any case. Leaves out the
downsampling to `keep` rollouts: all that was sampled is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np

from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.draw import uniformly
from trace_gym.schedule.rule import Choice, Standing


class Exit(StrEnum):
    """When a prompt has enough."""

    BALANCED = "balanced"
    POSITIVE = "positive"


class ReinforceAdaRoots:
    """`samples` roots a round for each of `prompts` prompts (None: as many as half the budget pays in the
    first round, so that the other half is there for later ones), at most `rounds` rounds."""

    def __init__(
        self,
        samples: int = 8,
        *,
        prompts: int | None = None,
        rounds: int = 4,
        keep: int = 4,
        leave: Exit | str = Exit.BALANCED,
    ) -> None:
        if samples < 1 or rounds < 1:
            raise ValueError(f"samples and rounds must be at least 1, got {samples} and {rounds}")
        if keep < 2:
            raise ValueError(f"keep must be at least 2 (one rollout has no contrast), got {keep}")
        if prompts is not None and prompts < 1:
            raise ValueError(f"prompts must be at least 1, got {prompts}")
        self._samples = samples
        self._prompts = prompts
        self._rounds = rounds
        self._keep = keep
        self._leave = Exit(leave)

    @property
    def pool_size(self) -> int | None:
        """As many as are played."""
        return self._prompts

    def choose(
        self, pool: Sequence[Candidate], limit: int | None, *, step: int, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """The first round."""
        many = len(pool) if self._prompts is None else self._prompts
        if limit is not None:
            paid = limit if self._prompts is not None or self._rounds == 1 else (limit + 1) // 2
            many = min(many, max(paid, min(limit, self._samples)) // self._samples)
        places, share = uniformly(len(pool), many, rng=rng)
        reason = f"round 1 of at most {self._rounds}: {self._samples} roots"
        return [Choice(pool[i].index, self._samples, reason, share) for i in places]

    def again(
        self,
        index: int,
        pool: Sequence[Candidate],
        standings: Mapping[int, Standing],
        *,
        limit: int | None,
        rng: np.random.Generator,
    ) -> Sequence[Choice]:
        """Another round for a prompt that has not enough."""
        standing = standings[index]
        if self._enough(standing) or standing.rounds >= self._rounds:
            return []
        count = self._samples if limit is None else min(self._samples, limit)
        if count < 1:
            return []
        so_far = f"{standing.wins} successes and {standing.losses} failures so far"
        reason = f"round {standing.rounds + 1} of at most {self._rounds}: {so_far}"
        return [Choice(index, count, reason)]

    def _enough(self, standing: Standing) -> bool:
        if self._leave is Exit.POSITIVE:
            return standing.wins > 0
        wins = self._keep // 2
        return standing.wins >= wins and standing.losses >= self._keep - wins
