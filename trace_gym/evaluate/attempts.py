"""The scheduler of a plain evaluation: so many attempts at every task, no forks, nothing learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isinf
from typing import Any

import numpy as np

from trace_gym.core.budget import Budget
from trace_gym.core.scheduler import Answer, Candidate, Event, Grant
from trace_gym.core.tree import Anchor, Forest, RolloutTree


class Attempts:
    """A Scheduler: `attempts[i]` roots for candidate i, all in one proposal.

    Where the budget pays fewer trajectories, tasks are drawn without replacement (decided by `seed`) as long
    as they are paid in full, so that what is played is a random sample of the tasks.
    """

    def __init__(self, attempts: Sequence[int], *, seed: int = 0) -> None:
        self._attempts = tuple(attempts)
        self._seed = seed

    @property
    def pool_size(self) -> int | None:
        """As many as are to be played."""
        return len(self._attempts)

    @property
    def forks(self) -> bool:
        """Never."""
        return False

    @property
    def hears_turns(self) -> bool:
        """Turns decide nothing here."""
        return False

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        """All attempts of the tasks that are played. ValueError for a pool of another size."""
        if len(pool) != len(self._attempts):
            raise ValueError(f"{len(self._attempts)} tasks were planned, the pool has {len(pool)}")
        left = budget.left("trajectories")
        if isinf(left) or left >= sum(self._attempts):
            playing = list(range(len(pool)))
        else:
            order = np.random.default_rng(self._seed).permutation(len(pool)).tolist()
            spent = np.cumsum([self._attempts[index] for index in order])
            playing = sorted(order[: int(np.searchsorted(spent, left, side="right"))])
        reason = f"{len(playing)} of {len(pool)} tasks"
        share = len(playing) / len(pool)
        return [
            Grant(number, Anchor(pool[i].index), self._attempts[i], reason, share)
            for number, i in enumerate(playing)
        ]

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        """Nothing follows."""
        return []

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Nothing is learnt."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """The seed; the plan is the caller's."""
        return {"seed": self._seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the seed back."""
        self._seed = int(state["seed"])
