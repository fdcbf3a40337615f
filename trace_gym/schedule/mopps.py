"""MoPPS (arXiv 2507.04632): a Beta posterior a prompt, a draw from each, the draws closest to one half.

After a step in which a prompt won s of n rollouts: alpha' = lambda alpha + (1 - lambda) alpha_0 + s and
beta' = lambda beta + (1 - lambda) beta_0 + n - s (its equation for the posterior with temporal discounting);
prompts that were not played keep theirs. The predictor is not asked: the rule counts for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np

from trace_gym.core.scheduler import Candidate
from trace_gym.core.tree import Forest
from trace_gym.schedule.draw import lowest
from trace_gym.schedule.rule import Choice


class MoppsRoots:
    """`n` roots for each of `prompts` prompts (None: as many as the budget pays), from a pool `pool_factor`
    times as large. State: the posteriors of the prompts played so far, by task."""

    def __init__(
        self,
        n: int = 8,
        *,
        prompts: int | None = None,
        pool_factor: float = 8.0,
        target: float = 0.5,
        decay: float = 0.5,
        alpha: float = 1.0,
        beta: float = 1.0,
    ) -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1 rollout a prompt, got {n}")
        if prompts is not None and prompts < 1:
            raise ValueError(f"prompts must be at least 1, got {prompts}")
        if pool_factor < 1.0:
            raise ValueError(f"pool_factor must be at least 1, got {pool_factor}")
        if not 0.0 < target < 1.0:
            raise ValueError(f"target must lie in (0, 1), got {target}")
        if not 0.0 < decay <= 1.0:
            raise ValueError(f"decay must lie in (0, 1], got {decay}")
        if alpha <= 0.0 or beta <= 0.0:
            raise ValueError(f"the prior's alpha and beta must be positive, got {alpha} and {beta}")
        self._n = n
        self._prompts = prompts
        self._pool_factor = pool_factor
        self._target = target
        self._decay = decay
        self._prior = (alpha, beta)
        self._posterior: dict[str, tuple[float, float]] = {}

    @property
    def pool_size(self) -> int | None:
        """`pool_factor` candidates a prompt, where their number is given."""
        return None if self._prompts is None else ceil(self._pool_factor * self._prompts)

    def choose(
        self, pool: Sequence[Candidate], limit: int | None, *, step: int, rng: np.random.Generator
    ) -> Sequence[Choice]:
        """The prompts whose draws are closest to the target. Who was drawn is random, but how likely that was
        has no closed form: propensities are left at 1."""
        many = len(pool) if self._prompts is None else self._prompts
        many = many if limit is None else min(many, limit // self._n)
        known = [self._posterior.get(candidate.task, self._prior) for candidate in pool]
        drawn = np.array([rng.beta(a, b) for a, b in known], dtype=np.float64)
        chosen, _ = lowest(np.abs(drawn - self._target), many, rng=rng)
        return [
            Choice(
                pool[i].index,
                self._n,
                f"drew {drawn[i]:.2f} from Beta({known[i][0]:.3g}, {known[i][1]:.3g}), among the closest to "
                f"{self._target:g}",
            )
            for i in chosen.tolist()
        ]

    def learn(self, forest: Forest) -> None:
        """Count the bare rollouts of the prompts played."""
        for tree in forest.trees:
            bare = [i for i in range(len(tree.rollouts)) if tree.bare(i)]
            outcomes = [outcome for i in bare if (outcome := tree.outcome(i)) is not None]
            if not outcomes:
                continue
            wins = sum(outcomes)
            now = self._posterior.get(tree.task.key, self._prior)
            kept = [self._decay * a + (1.0 - self._decay) * p for a, p in zip(now, self._prior, strict=True)]
            self._posterior[tree.task.key] = (kept[0] + wins, kept[1] + len(outcomes) - wins)

    def state_dict(self) -> dict[str, Any]:
        """The posteriors, as JSON data."""
        return {"posterior": {task: list(ab) for task, ab in self._posterior.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Know what `state_dict` held."""
        self._posterior = {task: (float(a), float(b)) for task, (a, b) in state["posterior"].items()}
