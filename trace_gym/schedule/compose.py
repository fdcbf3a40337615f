"""A scheduler made of a root rule and a fork rule: the events, the order of things and the purse.

A prompt's continuations are granted the moment the last of its own roots has ended, whatever other prompts
are doing. Every decision draws from a generator of its own, made from the seed, the step and the place in the
tree, so with plain rules it depends on that prompt's rollouts alone and not on how prompts interleave. Leaves
out the rules, and methods that weigh the prefixes of all prompts against each other: those implement the
protocol themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isinf
from typing import Any

import numpy as np

from trace_gym.core.budget import Budget
from trace_gym.core.scheduler import Answer, Candidate, EpisodeDone, Event, Grant, TurnDone
from trace_gym.core.tree import Anchor, Forest, RolloutTree
from trace_gym.schedule.contrast import flip_probability, prefix_contrast, root_contrast
from trace_gym.schedule.floors import checked, choose_above
from trace_gym.schedule.ledger import Ledger, Stage, decoded
from trace_gym.schedule.rule import (
    Choice,
    ForkRule,
    Played,
    Remembering,
    RootRule,
    SequentialForks,
    SequentialRoots,
    Trajectory,
    WatchfulForks,
)


class Composed:
    """A Scheduler. With B trajectories and N continuations a root, `floor(B / (1+N))` roots may be granted.

    `fresh_roots`: continuations that find no prefix (episodes of one turn) become fresh roots of the same
    prompt; else they are left unspent and reported. `floors`: the least part of the roots by suite
    (`floors.py`). Lifecycle: propose, observe once per event, learn; then the next step. State between steps
    is the seed, the number of steps closed and what the rules remember; a step in progress is not part of it,
    it is repeated from the journal.
    """

    def __init__(
        self,
        roots: RootRule,
        forks: ForkRule,
        *,
        seed: int = 0,
        fresh_roots: bool = True,
        floors: Mapping[str, float] | None = None,
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self._roots = roots
        self._forks = forks
        self._seed = seed
        self._fresh_roots = fresh_roots
        self._floors = checked(floors or {})
        self._step = 0
        self._drop()

    def _drop(self) -> None:
        """Forget the step in progress."""
        self._ledger: Ledger | None = None
        self._pool: Sequence[Candidate] = ()
        self._limit: int | None = None
        self._ended: dict[int, list[Trajectory]] = {}
        self._continued: dict[int, list[Trajectory]] = {}
        self._rounds: dict[int, int] = {}

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
        """Turns decide something only where the fork rule watches them."""
        return isinstance(self._forks, WatchfulForks)

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        """Open a step: grant the roots. ValueError while rollouts of the last step are running."""
        if self._ledger is not None and self._ledger.running:
            raise ValueError(f"the last step still has {self._ledger.running} rollouts running")
        left = budget.left("trajectories")
        allowance = None if isinf(left) else max(0, int(left))
        self._drop()
        self._limit = None if allowance is None else allowance // (1 + self._forks.per_root)
        self._pool = pool
        ledger = self._ledger = Ledger(allowance, candidates=len(pool))
        rng = self._rng()
        choices = choose_above(self._floors, self._roots, pool, self._limit, step=self._step, rng=rng)
        _within(choices, self._limit, "roots")
        return self._grant_roots(ledger, choices)

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        """Take note of a turn or of a rollout's end; grant what follows from it."""
        if self._ledger is None:
            raise ValueError("no step is open: propose comes first")
        if isinstance(event, TurnDone):
            return self._watch(self._ledger, tree, event.node, over=False)
        answer: list[Answer] = []
        if isinstance(event, EpisodeDone):
            record = tree.rollouts[event.rollout]
            outcome = tree.outcome(event.rollout) if record.tip != record.anchor else None
            account = self._ledger.settle(record.grant, outcome, tokens=decoded(tree, event.rollout))
            if outcome is not None:
                known = self._ended if account.stage is Stage.ROOT else self._continued
                known.setdefault(event.tree, []).append(_trajectory(tree, event, success=outcome))
            if record.tip != record.anchor:
                answer += self._watch(self._ledger, tree, record.tip, over=True)
        else:
            account = self._ledger.settle(event.grant, None, failed=True)
        if account.stage is Stage.ROOT and not self._ledger.standings[event.tree].running:
            answer += self._roots_are_in(self._ledger, tree)
        elif not self._ledger.live(event.tree):
            answer += self._continue(self._ledger, tree)
        return answer

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Close the step; returns `Ledger.metrics`. ValueError while rollouts are running."""
        if self._ledger is None:
            raise ValueError("no step is open: propose comes first")
        if self._ledger.running:
            raise ValueError(f"step {forest.step} still has {self._ledger.running} rollouts running")
        metrics = self._ledger.metrics(per_root=self._forks.per_root)
        for rule in self._remembering():
            rule.learn(forest)
        self._drop()
        self._step += 1
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """What all generators derive from, and what the rules remember; during a step, as it opened."""
        known = [rule.state_dict() for rule in self._remembering()]
        return {"seed": self._seed, "step": self._step, **({"rules": known} if known else {})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood; a step in progress is dropped."""
        self._seed, self._step = int(state["seed"]), int(state["step"])
        for rule, known in zip(self._remembering(), state.get("rules", []), strict=True):
            rule.load_state_dict(known)
        self._drop()

    def _remembering(self) -> list[Remembering]:
        return [rule for rule in (self._roots, self._forks) if isinstance(rule, Remembering)]

    def _rng(self, *place: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._step, *place])

    def _grant_roots(self, ledger: Ledger, choices: Sequence[Choice]) -> list[Grant]:
        by_index = {candidate.index: candidate for candidate in self._pool}
        return [self._root(ledger, by_index[choice.place], choice) for choice in choices]

    def _root(self, ledger: Ledger, candidate: Candidate, choice: Choice) -> Grant:
        prediction = candidate.prediction
        return ledger.grant(
            Anchor(candidate.index),
            choice.count,
            stage=Stage.ROOT,
            reason=choice.reason,
            propensity=choice.propensity,
            promised=None if prediction is None else float(root_contrast(prediction.mean, choice.count)),
            tokens=None if prediction is None else prediction.tokens,
        )

    def _roots_are_in(self, ledger: Ledger, tree: RolloutTree) -> list[Answer]:
        """A prompt's roots have all ended: perhaps there are more, for it or for another; else go on to its
        continuations."""
        answer: list[Answer] = []
        if isinstance(self._roots, SequentialRoots):
            left = None if self._limit is None else self._limit - ledger.roots
            rng = self._rng(1 + tree.index, 1 + ledger.standings[tree.index].rounds, 1, 1)
            choices = self._roots.again(tree.index, self._pool, ledger.standings, limit=left, rng=rng)
            _within(choices, left, "roots")
            closed = {c.place for c in choices if c.place in ledger.standings} - {tree.index}
            if closed:
                raise ValueError(f"a rule asked for more roots of prompts that it was done with: {closed}")
            answer += self._grant_roots(ledger, choices)
        if not ledger.standings[tree.index].running:
            answer += self._continue(ledger, tree)
        return answer

    def _watch(self, ledger: Ledger, tree: RolloutTree, node: int, *, over: bool) -> list[Answer]:
        """Show a turn to a rule that watches them."""
        if not isinstance(self._forks, WatchfulForks):
            return []
        left = ledger.standings[tree.index].granted * self._forks.per_root - ledger.forked(tree.index)
        if left <= 0:
            return []
        rng = self._rng(1 + tree.index, 1 + node, 1)
        choices = self._forks.watch(tree, node, left, over=over, rng=rng)
        _within(choices, left, "continuations")
        return [self._fork(ledger, Played(tree, ()), choice) for choice in choices]

    def _continue(self, ledger: Ledger, tree: RolloutTree) -> list[Answer]:
        """Stage 2 for one prompt, or the next round of it where the rule goes on."""
        index, goes_on = tree.index, isinstance(self._forks, SequentialForks)
        round_ = self._rounds.get(index, 0)
        played = Played(tree, *(self._known(index, of) for of in (self._ended, self._continued)))
        left = len(played.trajectories) * self._forks.per_root - ledger.forked(index)
        if left <= 0 or (round_ and not goes_on):
            return []
        self._rounds[index] = round_ + 1
        rng = self._rng(1 + index, *([round_] if round_ else []))
        if round_ and isinstance(self._forks, SequentialForks):
            choices = self._forks.again(played, left, step=self._step, rng=rng)
        else:
            choices = self._forks.choose(played, left, step=self._step, rng=rng)
        _within(choices, left, "continuations")
        grants: list[Answer] = [self._fork(ledger, played, choice) for choice in choices]
        left -= sum(choice.count for choice in choices)
        if goes_on and ledger.live(index):
            return grants
        if goes_on and not round_:
            return self._continue(ledger, tree)
        if left and self._fresh_roots:
            why = "not used by the fork rule" if goes_on else "no prefix to continue from"
            reason = f"{why}: {left} continuations become fresh roots"
            grants.append(ledger.grant(Anchor(index), left, stage=Stage.FRESH, reason=reason))
        return grants

    def _known(self, index: int, of: Mapping[int, list[Trajectory]]) -> tuple[Trajectory, ...]:
        return tuple(sorted(of.get(index, []), key=lambda trajectory: trajectory.rollout))

    def _fork(self, ledger: Ledger, played: Played, choice: Choice) -> Grant:
        known = (*played.trajectories, *played.continuations)
        parent = next((t for t in known if choice.place in t.prefixes), None)
        prediction = parent.predictions.get(choice.place) if parent else None
        promised = None
        if parent is not None and prediction is not None:
            flip = flip_probability(prediction.mean, parent.success)
            promised = float(prefix_contrast(flip, choice.count))
        return ledger.grant(
            Anchor(played.tree.index, choice.place),
            choice.count,
            stage=Stage.FORK,
            reason=choice.reason,
            propensity=choice.propensity,
            depth=played.tree.depth(choice.place),
            promised=promised,
            before=parent.success if parent else None,
            tokens=None if prediction is None else prediction.tokens,
        )


def _trajectory(tree: RolloutTree, event: EpisodeDone, *, success: bool) -> Trajectory:
    record = tree.rollouts[event.rollout]
    own = tree.path(record.tip)[tree.depth(record.anchor) : -1]
    return Trajectory(event.rollout, success, tuple(own), event.predictions, record.anchor)


def _within(choices: Sequence[Choice], limit: int | None, what: str) -> None:
    asked = sum(choice.count for choice in choices)
    if limit is not None and asked > limit:
        raise ValueError(f"a rule asked for {asked} {what}, it may have {limit}")
