"""Prompts that look hopeless are started part-way along a reference solution, under any method.

The environment's oracle plays such a prompt once, and continuations start from one of the prefixes that it
left: where as many remaining turns have lately come to both outcomes (reverse curricula by demonstration,
arXiv 1707.05300; AdaPrefix-GRPO, arXiv 2607.07674). What the oracle played is neither trained nor counted.
This uses demonstrations; whoever compares methods must say so. Leaves out how oracles play, which is the
collector's matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isinf
from typing import Any

import numpy as np

from trace_gym.core.budget import Budget
from trace_gym.core.check import success
from trace_gym.core.episode import Actor, StopReason
from trace_gym.core.scheduler import Answer, Candidate, EpisodeDone, Event, Grant, Scheduler
from trace_gym.core.tree import Anchor, Forest, RolloutTree
from trace_gym.schedule.contrast import root_contrast
from trace_gym.schedule.wrapping import Wrapping

FIRST = 1 << 20
"""Numbers of its own grants begin here, far above the inner scheduler's."""
DECAY = 0.8
"""What a step's outcomes still count in the next."""


class GuidedScheduler(Wrapping):
    """A Scheduler that does what `inner` does with most of a step's trajectories.

    A part `share` of them goes to prompts predicted below `below`, drawn at random, at most half of the pool.
    Each costs one trajectory without sampled tokens, the oracle's, and `continuations`. Their prefix is drawn
    by Thompson sampling for the greatest contrast: p ~ Beta(1 + won, 1 + lost) of continuations of the same
    suite that had as many of the oracle's turns before them. An oracle that fails, or needs one turn only,
    gets none: what was kept for them is `unspent`. State beside the inner one's: the seed, the steps closed,
    won and lost by suite and turns.
    """

    def __init__(
        self, inner: Scheduler, *, share: float, below: float = 0.2, continuations: int = 5, seed: int = 0
    ) -> None:
        if not 0.0 < share < 1.0:
            raise ValueError(f"guide_share must lie in (0, 1), got {share}")
        if not 0.0 < below <= 1.0:
            raise ValueError(f"guide_below must lie in (0, 1], got {below}")
        if continuations < 2:
            raise ValueError(f"guide_continuations must be at least 2, got {continuations}")
        super().__init__(inner)
        self._share, self._below, self._continuations = share, below, continuations
        self._seed = seed
        self._step = 0
        self._records: dict[str, dict[int, tuple[float, float]]] = {}
        self._drop()

    def _drop(self) -> None:
        """Forget the step in progress."""
        self._mine: set[int] = set()
        self._left: dict[int, int] = {}
        self._grants = 0
        self._kept = 0

    @property
    def forks(self) -> bool:
        """Yes: that is what it does."""
        return True

    @property
    def hears_turns(self) -> bool:
        """As the inner one has it."""
        return self._inner.hears_turns

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        """The oracle's rollouts, and what the inner one grants to the other candidates with the rest. Raises
        ValueError without a limit of trajectories."""
        self._drop()
        left = budget.left("trajectories")
        if isinf(left):
            raise ValueError("guide_share is a part of a step's trajectories; give budget.step_trajectories")
        hopeless = [c for c in pool if c.prediction is not None and c.prediction.mean < self._below]
        each = 1 + self._continuations
        count = min(int(self._share * left) // each, len(hopeless), len(pool) // 2)
        rng = np.random.default_rng([self._seed, self._step])
        chosen = [hopeless[i] for i in sorted(rng.permutation(len(hopeless))[:count])]
        self._mine = {candidate.index for candidate in chosen}
        self._kept = count * each
        shown = [self._show(candidate) for candidate in chosen]
        others = [candidate for candidate in pool if candidate.index not in self._mine]
        purse = Budget(trajectories=int(left) - count * each, parent=budget)
        return [*shown, *self._inner.propose(others, purse)]

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        """What the inner one answers; for its own prompts, where continuations start."""
        if tree.index not in self._mine:
            return self._inner.observe(tree, event)
        if not isinstance(event, EpisodeDone):
            return ()
        record = tree.rollouts[event.rollout]
        path = tree.path(record.tip)
        if record.stop is not StopReason.SHOWN or not success(tree.turns[record.tip].verdicts):
            return ()
        return self._start(tree, path) if len(path) > 1 else ()

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Close the step; adds how many prompts were `guided`, the part of them that came to both outcomes,
        and the turns that were left to play on average; to what is `unspent`, what no prompt here used."""
        mine = [tree for tree in forest.trees if tree.index in self._left]
        others = [tree for tree in forest.trees if tree.index not in self._mine]
        metrics = dict(self._inner.learn(Forest(forest.step, others)))
        self._records = {
            suite: {left: (won * DECAY, lost * DECAY) for left, (won, lost) in of.items()}
            for suite, of in self._records.items()
        }
        for tree in mine:
            outcomes = list(tree.outcomes().values())
            of, left = self._records.setdefault(tree.task.suite, {}), self._left[tree.index]
            won, lost = of.get(left, (0.0, 0.0))
            of[left] = (won + sum(outcomes), lost + len(outcomes) - sum(outcomes))
        count = max(1, len(mine))
        metrics |= {
            "guided": float(len(mine)),
            "guided_contrast": sum(tree.mixed for tree in mine) / count,
            "guided_turns_left": sum(self._left.values()) / count,
        }
        if "unspent" in metrics:
            metrics["unspent"] += self._kept
        self._drop()
        self._step += 1
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Its own state and the inner one's; during a step, as it opened."""
        records = {
            suite: [[left, won, lost] for left, (won, lost) in of.items()]
            for suite, of in self._records.items()
        }
        own = {"seed": self._seed, "step": self._step, "records": records}
        return {**own, "inner": self._inner.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood; a step in progress is dropped."""
        self._seed, self._step = int(state["seed"]), int(state["step"])
        self._records = {
            suite: {int(left): (float(won), float(lost)) for left, won, lost in of}
            for suite, of in state["records"].items()
        }
        self._inner.load_state_dict(state["inner"])
        self._drop()

    def _show(self, candidate: Candidate) -> Grant:
        assert candidate.prediction is not None
        reason = f"V~={candidate.prediction.mean:.2f} is below {self._below:g}: the oracle shows it"
        return self._grant(Anchor(candidate.index), 1, reason, Actor.ORACLE)

    def _start(self, tree: RolloutTree, path: Sequence[int]) -> list[Answer]:
        """Continuations after all but `left` of the oracle's turns."""
        of = self._records.get(tree.task.suite, {})
        rng = np.random.default_rng([self._seed, self._step, 1 + tree.index])
        choices = range(1, len(path))
        known = [of.get(left, (0.0, 0.0)) for left in choices]
        drawn = [rng.beta(1.0 + won, 1.0 + lost) for won, lost in known]
        left = choices[int(np.argmax(root_contrast(np.array(drawn), self._continuations)))]
        self._left[tree.index] = left
        won, lost = known[left - 1]
        reason = f"{left} of the oracle's {len(path)} turns are left, from where {won:.1f} succeeded lately "
        anchor = Anchor(tree.index, path[-1 - left])
        return [self._grant(anchor, self._continuations, f"{reason}and {lost:.1f} failed", Actor.POLICY)]

    def _grant(self, anchor: Anchor, count: int, reason: str, actor: Actor) -> Grant:
        self._grants += 1
        self._kept -= count
        return Grant(FIRST + self._grants, anchor, count, reason, actor=actor)
