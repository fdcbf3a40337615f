"""Rollouts that have become hopeless are cut, whatever method granted them.

After a turn the predictor's word on the prefix that the turn was played from is known. Where it first lies
below a threshold the rollout is cut, but for a part that is drawn to play on: from those alone the predictor
learns what such prefixes come to. A cut rollout counts as a failure for credit; for the predictor it counts,
at the prefixes before, as what was predicted of it (`Rollout.worth`). Leaves out who is granted what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trace_gym.core.budget import Budget
from trace_gym.core.scheduler import Answer, Candidate, Cut, Event, Grant, Scheduler, TurnDone
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.schedule.wrapping import Wrapping


class CuttingScheduler(Wrapping):
    """A Scheduler that does what `inner` does, and cuts.

    A rollout is hopeless once its prediction after `after` or more turns of its own is below `below`, in
    (0, 1/2]; with probability `spare` it plays on all the same. State beside the inner one's: the seed and
    how many steps were closed.
    """

    def __init__(
        self, inner: Scheduler, *, below: float, spare: float = 0.25, after: int = 1, seed: int = 0
    ) -> None:
        if not 0.0 < below <= 0.5:
            raise ValueError(f"cut_below must lie in (0, 0.5], got {below}")
        if not 0.0 <= spare < 1.0:
            raise ValueError(f"cut_spare must lie in [0, 1), got {spare}")
        if after < 1:
            raise ValueError(f"cut_after must be at least one turn, got {after}")
        super().__init__(inner)
        self._below, self._spare, self._after = below, spare, after
        self._seed = seed
        self._step = 0
        self._drop()

    def _drop(self) -> None:
        """Forget the step in progress."""
        self._judged: set[tuple[int, int]] = set()
        self._cut = 0

    @property
    def hears_turns(self) -> bool:
        """Yes: that is when it cuts."""
        return True

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        """As the inner one does."""
        self._drop()
        return self._inner.propose(pool, budget)

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        """What the inner one answers, and perhaps a cut."""
        if not isinstance(event, TurnDone):
            return self._inner.observe(tree, event)
        answer = list(self._inner.observe(tree, event)) if self._inner.hears_turns else []
        before = tree.turns[event.node].parent
        said = event.predictions.get(before)
        rollout = (event.tree, event.rollout)
        if said is None or said.mean >= self._below or rollout in self._judged:
            return answer
        if tree.depth(before) - tree.depth(tree.rollouts[event.rollout].anchor) < self._after:
            return answer
        self._judged.add(rollout)
        rng = np.random.default_rng([self._seed, self._step, *rollout])
        if rng.random() < self._spare:
            return answer
        self._cut += 1
        return [*answer, Cut(*rollout, said.mean)]

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Close the step; adds how many rollouts were `hopeless`, and how many of those were `cut`."""
        metrics = {**self._inner.learn(forest), "hopeless": float(len(self._judged)), "cut": float(self._cut)}
        self._drop()
        self._step += 1
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Its own state and the inner one's; during a step, as it opened."""
        return {"seed": self._seed, "step": self._step, "inner": self._inner.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood; a step in progress is dropped."""
        self._seed, self._step = int(state["seed"]), int(state["step"])
        self._inner.load_state_dict(state["inner"])
        self._drop()
