"""Continuations one at a time: what those before came to decides where the next one starts.

A prefix is worth its chance that the next continuation is the first to flip the outcome seen there. After t
continuations that did not flip it, with V~ worth c observations and f the flip it predicts, that chance is
the mean of Beta(f c, (1-f) c + t). Continuations have prefixes too, and they count like the others. Leaves
out weighing prompts against each other: that is `global_queue.GlobalQueue`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from trace_gym.schedule.belief import Belief
from trace_gym.schedule.contrast import allocate_units, flip_probability, prefix_marginal
from trace_gym.schedule.draw import tie_shares
from trace_gym.schedule.rule import Choice, Played, Trajectory


class PlusForks:
    """TRACE's stage 2 with what follows from a continuation's outcome; `continuations` is N.

    `stop_at_flip`: a prefix whose outcome was flipped is done. `patience`: a prefix that resisted so many
    continuations is given up (0: never). `posterior`: V~ is uncertain, and every continuation that does not
    flip lowers the chance of the next; else V~ is the truth. Each round grants every chosen prefix one; with
    neither `stop_at_flip` nor `patience` there is one round, which grants all.
    """

    def __init__(
        self,
        continuations: int = 2,
        *,
        posterior: bool = True,
        stop_at_flip: bool = True,
        patience: int = 2,
        prior: float = 0.5,
        cold_steps: int = 0,
    ) -> None:
        if continuations < 1:
            raise ValueError(f"continuations must be at least 1 a root, got {continuations}")
        if patience < 0:
            raise ValueError(f"patience must not be negative (0 never gives up), got {patience}")
        self._continuations = continuations
        self._stop_at_flip = stop_at_flip
        self._patience = patience
        self._belief = Belief(prior=prior, cold_steps=cold_steps, posterior=posterior)

    @property
    def per_root(self) -> int:
        """N."""
        return self._continuations

    def choose(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """The first round."""
        return self._round(played, count, step=step, rng=rng)

    def again(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        """The next one."""
        return [] if self._at_once else self._round(played, count, step=step, rng=rng)

    def _round(self, played: Played, count: int, *, step: int, rng: np.random.Generator) -> Sequence[Choice]:
        seen = _tried(played)
        spots = [
            (node, parent, seen[node])
            for parent in (*played.trajectories, *played.continuations)
            for node in parent.prefixes
            if not self._done(parent.success, seen[node])
        ]
        if not spots:
            return []
        told = [parent.predictions.get(node) for node, parent, _ in spots]
        v = [self._belief.value(prediction, step=step) for prediction in told]
        flip = flip_probability(v, [parent.success for _, parent, _ in spots])
        sure = self._belief.sures(told, step=step)
        if sure is not None:
            held = np.array([outcomes[parent.success] for _, parent, outcomes in spots], dtype=np.float64)
            flip, sure = flip * sure / (sure + held), sure + held
        ahead = np.arange(1, (count if self._at_once else min(count, self._ahead)) + 1)
        column = None if sure is None else sure[:, None]
        counts = allocate_units(prefix_marginal(flip[:, None], ahead[None, :], column), count, rng=rng)
        chances = tie_shares(flip, counts)
        return [
            Choice(
                node,
                int(k) if self._at_once else 1,
                self._reason(played, node, parent, float(f)),
                float(chance),
            )
            for (node, parent, _), f, k, chance in zip(spots, flip, counts, chances, strict=True)
            if k
        ]

    @property
    def _at_once(self) -> bool:
        """Does nothing depend on what a continuation comes to?"""
        return not self._stop_at_flip and not self._patience

    @property
    def _ahead(self) -> int:
        """How many continuations of one prefix a round looks ahead: it grants one, and leaves the rest to the
        rounds after it."""
        return max(2, self._patience)

    def _done(self, success: bool, outcomes: Counter[bool]) -> bool:
        flipped = self._stop_at_flip and outcomes[not success] > 0
        return flipped or 0 < self._patience <= outcomes[success]

    def _reason(self, played: Played, node: int, parent: Trajectory, flip: float) -> str:
        outcome = "success" if parent.success else "failure"
        return f"turn {played.tree.depth(node)} of a {outcome}: the next one flips it with p={flip:.2f}"


def _tried(played: Played) -> dict[int, Counter[bool]]:
    """Node -> the outcomes of the continuations that started there."""
    seen: dict[int, Counter[bool]] = {}
    for parent in (*played.trajectories, *played.continuations):
        for node in parent.prefixes:
            seen[node] = Counter()
    for branch in played.continuations:
        if branch.anchor in seen:
            seen[branch.anchor][branch.success] += 1
    return seen
