"""A scheduler made of a root rule and a fork rule: the events, the order of things and the purse.

Roots are proposed once. A prompt's continuations are granted the moment the last of its own roots has ended,
whatever other prompts are doing. Every decision draws from a generator of its own, made from the seed, the
step and the prompt, so it depends on that prompt's rollouts alone and not on how prompts interleave. Leaves
out the rules, and methods that propose repeatedly or fork in mid-episode: those implement the protocol
themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isinf
from typing import Any

import numpy as np

from trace_gym.core.budget import Budget
from trace_gym.core.scheduler import Cancel, Candidate, EpisodeDone, Event, Grant, TurnDone
from trace_gym.core.tree import Anchor, Forest, RolloutTree
from trace_gym.schedule.contrast import flip_probability, prefix_contrast, root_contrast
from trace_gym.schedule.ledger import Ledger, Stage
from trace_gym.schedule.rule import Choice, ForkRule, Played, RootRule, Trajectory


class Composed:
    """A Scheduler. With B trajectories and N continuations a root, `floor(B / (1+N))` roots may be granted.

    `fresh_roots`: continuations that find no prefix (episodes of one turn) become fresh roots of the same
    prompt; else they are left unspent and reported. Lifecycle: propose, observe once per event, learn; then
    the next step. State between steps is the seed and the number of steps closed; a step in progress is not
    part of it, it is repeated from the journal.
    """

    def __init__(self, roots: RootRule, forks: ForkRule, *, seed: int = 0, fresh_roots: bool = True) -> None:
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self._roots = roots
        self._forks = forks
        self._seed = seed
        self._fresh_roots = fresh_roots
        self._step = 0
        self._ledger: Ledger | None = None
        self._ended: dict[int, list[Trajectory]] = {}

    @property
    def pool_size(self) -> int | None:
        """How many candidates the root rule wants to choose from."""
        return self._roots.pool_size

    @property
    def forks(self) -> bool:
        """May anchors other than roots be granted?"""
        return self._forks.per_root > 0

    @property
    def hears_turns(self) -> bool:
        """Turns alone decide nothing here."""
        return False

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        """Open a step: grant the roots. ValueError while rollouts of the last step are running."""
        if self._ledger is not None and self._ledger.running:
            raise ValueError(f"the last step still has {self._ledger.running} rollouts running")
        left = budget.left("trajectories")
        allowance = None if isinf(left) else max(0, int(left))
        limit = None if allowance is None else allowance // (1 + self._forks.per_root)
        self._ledger = Ledger(allowance, candidates=len(pool))
        self._ended = {}
        by_index = {candidate.index: candidate for candidate in pool}
        rng = np.random.default_rng([self._seed, self._step])
        choices = self._roots.choose(pool, limit, step=self._step, rng=rng)
        _within(choices, limit, "roots")
        return [self._root(self._ledger, by_index[choice.place], choice) for choice in choices]

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Grant | Cancel]:
        """Take note of a rollout's end; grant its prompt's continuations if it was the last root."""
        if isinstance(event, TurnDone):
            return []
        if self._ledger is None:
            raise ValueError("no step is open: propose comes first")
        if isinstance(event, EpisodeDone):
            record = tree.rollouts[event.rollout]
            outcome = tree.outcome(event.rollout) if record.tip != record.anchor else None
            account = self._ledger.settle(record.grant, outcome)
            if account.stage is Stage.ROOT and outcome is not None:
                self._ended.setdefault(event.tree, []).append(_trajectory(tree, event, success=outcome))
        else:
            account = self._ledger.settle(event.grant, None, failed=True)
        if account.stage is not Stage.ROOT or self._ledger.waiting(event.tree):
            return []
        return self._continue(self._ledger, tree, event.tree)

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Close the step; returns `Ledger.metrics`. ValueError while rollouts are running."""
        if self._ledger is None:
            raise ValueError("no step is open: propose comes first")
        if self._ledger.running:
            raise ValueError(f"step {forest.step} still has {self._ledger.running} rollouts running")
        metrics = self._ledger.metrics(per_root=self._forks.per_root)
        self._ledger = None
        self._ended = {}
        self._step += 1
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """What all generators derive from; during a step, its state when the step opened."""
        return {"seed": self._seed, "step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood; a step in progress is dropped."""
        self._seed, self._step = int(state["seed"]), int(state["step"])
        self._ledger = None
        self._ended = {}

    def _root(self, ledger: Ledger, candidate: Candidate, choice: Choice) -> Grant:
        prediction = candidate.prediction
        return ledger.grant(
            Anchor(candidate.index),
            choice.count,
            stage=Stage.ROOT,
            reason=choice.reason,
            propensity=choice.propensity,
            promised=None if prediction is None else float(root_contrast(prediction.mean, choice.count)),
        )

    def _continue(self, ledger: Ledger, tree: RolloutTree, index: int) -> list[Grant | Cancel]:
        """Stage 2 for one prompt."""
        trajectories = sorted(self._ended.pop(index, []), key=lambda trajectory: trajectory.rollout)
        earned = len(trajectories) * self._forks.per_root
        if not earned:
            return []
        played = Played(tree, tuple(trajectories))
        rng = np.random.default_rng([self._seed, self._step, 1 + index])
        choices = self._forks.choose(played, earned, step=self._step, rng=rng)
        _within(choices, earned, "continuations")
        grants: list[Grant | Cancel] = [self._fork(ledger, played, index, choice) for choice in choices]
        left = earned - sum(choice.count for choice in choices)
        if left and self._fresh_roots:
            reason = f"no prefix to continue from: {left} continuations become fresh roots"
            grants.append(ledger.grant(Anchor(index), left, stage=Stage.FRESH, reason=reason))
        return grants

    def _fork(self, ledger: Ledger, played: Played, index: int, choice: Choice) -> Grant:
        parent = next((t for t in played.trajectories if choice.place in t.prefixes), None)
        prediction = parent.predictions.get(choice.place) if parent else None
        promised = None
        if parent is not None and prediction is not None:
            flip = flip_probability(prediction.mean, parent.success)
            promised = float(prefix_contrast(flip, choice.count))
        return ledger.grant(
            Anchor(index, choice.place),
            choice.count,
            stage=Stage.FORK,
            reason=choice.reason,
            propensity=choice.propensity,
            depth=played.tree.depth(choice.place),
            promised=promised,
            before=parent.success if parent else None,
        )


def _trajectory(tree: RolloutTree, event: EpisodeDone, *, success: bool) -> Trajectory:
    prefixes = tree.path(tree.rollouts[event.rollout].tip)[:-1]
    return Trajectory(event.rollout, success, tuple(prefixes), event.predictions)


def _within(choices: Sequence[Choice], limit: int | None, what: str) -> None:
    asked = sum(choice.count for choice in choices)
    if limit is not None and asked > limit:
        raise ValueError(f"a rule asked for {asked} {what}, it may have {limit}")
