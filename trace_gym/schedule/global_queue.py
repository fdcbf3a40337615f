"""One queue over the roots and prefixes of all prompts: every rollout goes where it is worth most, per cost.

A step opens with the roots that a root rule grants from a part of the budget. From then on, whenever a
rollout ends, another is granted at the best spot there is: a further root, a pair for a prompt not yet
played, or a prefix. So, unlike TRACE, a prompt that is mixed or hopeless leaves its continuations to others,
and what is granted depends on the order in which rollouts end. Leaves out the worth of a spot, which is
`spot.Spot`.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from itertools import count
from math import isinf
from typing import Any

import numpy as np

from trace_gym.core.budget import Budget
from trace_gym.core.scheduler import Answer, Candidate, EpisodeDone, Event, Grant, TurnDone
from trace_gym.core.tree import Anchor, Forest, RolloutTree
from trace_gym.schedule.belief import Belief
from trace_gym.schedule.contrast import root_contrast
from trace_gym.schedule.expense import Expenses, Prices
from trace_gym.schedule.ledger import Ledger, Stage, decoded
from trace_gym.schedule.rule import RootRule
from trace_gym.schedule.spot import Coin, Prompt, Spot


class GlobalQueue:
    """A Scheduler. `continuations` N: a part 1/(1+N) of the trajectories opens the step as roots.

    `cap` bounds the roots of a prompt. `stop_at_flip` and `patience` are as in `PlusForks`. A share `epsilon`
    of what is granted later goes to prompts drawn at random. A spot's priority is its worth over its expected
    cost to the power `per_cost` (0: cost counts for nothing). State between steps: seed, steps closed, and
    the average costs.
    """

    def __init__(
        self,
        roots: RootRule,
        continuations: int = 2,
        *,
        belief: Belief,
        cap: int = 8,
        stop_at_flip: bool = True,
        patience: int = 2,
        epsilon: float = 0.0,
        per_cost: float = 0.0,
        prices: Prices | None = None,
        seed: int = 0,
    ) -> None:
        if continuations < 1:
            raise ValueError(f"continuations must be at least 1 a root, got {continuations}")
        if cap < 2:
            raise ValueError(f"cap must be at least 2 roots a prompt, got {cap}")
        if patience < 0:
            raise ValueError(f"patience must not be negative (0 never gives up), got {patience}")
        if not 0.0 <= epsilon <= 1.0:
            raise ValueError(f"epsilon must lie in [0, 1], got {epsilon}")
        if per_cost < 0.0:
            raise ValueError(f"per_cost must not be negative, got {per_cost}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self._roots = roots
        self._continuations = continuations
        self._belief = belief
        self._cap = cap
        self._stop_at_flip = stop_at_flip
        self._patience = patience
        self._epsilon = epsilon
        self._per_cost = per_cost
        self._prices = prices or Prices()
        self._expenses = Expenses()
        self._seed = seed
        self._step = 0
        self._drop()

    def _drop(self) -> None:
        """Forget the step in progress."""
        self._ledger: Ledger | None = None
        self._left = 0
        self._width = 0
        self._expected = 0.0
        self._prompts: dict[int, Prompt] = {}
        self._spots: dict[Anchor, Spot] = {}
        self._heap: list[tuple[float, float, int, Spot, int]] = []
        self._entries = count()
        self._ties = np.random.default_rng([self._seed, self._step, 1])

    @property
    def pool_size(self) -> int | None:
        """How many candidates the root rule wants to choose from."""
        return self._roots.pool_size

    @property
    def forks(self) -> bool:
        """Yes."""
        return True

    @property
    def hears_turns(self) -> bool:
        """Turns alone decide nothing here."""
        return False

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        """Open a step. ValueError without a budget of trajectories, or while rollouts are running."""
        if self._ledger is not None and self._ledger.running:
            raise ValueError(f"the last step still has {self._ledger.running} rollouts running")
        left = budget.left("trajectories")
        if isinf(left):
            raise ValueError("a global queue needs a budget of trajectories")
        self._drop()
        self._left = max(0, int(left))
        ledger = self._ledger = Ledger(self._left, candidates=len(pool))
        rng = np.random.default_rng([self._seed, self._step])
        limit = self._left // (1 + self._continuations)
        chosen = {c.place: c for c in self._roots.choose(pool, limit, step=self._step, rng=rng)}
        grants = []
        for candidate in pool:
            self._enter(candidate)
            if candidate.index in chosen:
                choice = chosen[candidate.index]
                spot = self._prompts[candidate.index].spot
                grants.append(self._grant(ledger, spot, choice.count, choice.reason, choice.propensity))
        for prompt in self._prompts.values():
            self._push(prompt.spot)
        self._width = max(1, ledger.granted)
        return [*grants, *self._fill(ledger)]

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        """Take note of a rollout's end, and grant what its place in the purse now pays."""
        if self._ledger is None:
            raise ValueError("no step is open: propose comes first")
        if isinstance(event, TurnDone):
            return []
        if isinstance(event, EpisodeDone):
            record = tree.rollouts[event.rollout]
            outcome = tree.outcome(event.rollout) if record.tip != record.anchor else None
            account = self._ledger.settle(record.grant, outcome, tokens=decoded(tree, event.rollout))
            self._ended(self._spots[account.grant.anchor], outcome)
            if outcome is not None:
                self._grow(tree, event, success=outcome)
        else:
            account = self._ledger.settle(event.grant, None, failed=True)
            self._ended(self._spots[account.grant.anchor], None)
        return self._fill(self._ledger)

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Close the step; returns `Ledger.metrics`, and at the prices given the `cost` that was spent and the
        one expected of what was granted. ValueError while rollouts are running."""
        if self._ledger is None:
            raise ValueError("no step is open: propose comes first")
        if self._ledger.running:
            raise ValueError(f"step {forest.step} still has {self._ledger.running} rollouts running")
        metrics = self._ledger.metrics(per_root=self._continuations)
        metrics |= {"cost": self._prices.of(forest.cost), "cost_expected": self._expected}
        self._expenses.learn(forest)
        self._drop()
        self._step += 1
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """What all generators derive from, and the average costs; during a step, as it opened."""
        return {"seed": self._seed, "step": self._step, "expenses": self._expenses.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood; a step in progress is dropped."""
        self._seed, self._step = int(state["seed"]), int(state["step"])
        self._expenses.load_state_dict(state["expenses"])
        self._drop()

    def _enter(self, candidate: Candidate) -> None:
        prediction = candidate.prediction
        v = self._belief.value(prediction, step=self._step)
        sure = self._belief.sure(prediction, step=self._step) if self._belief.posterior else None
        expense = self._expenses.expect(candidate.suite, candidate.max_turns, prediction=prediction)
        anchor = Anchor(candidate.index)
        spot = Spot(anchor, Coin(v, sure), None, self._prices.expected(expense))
        self._prompts[candidate.index] = Prompt(spot, candidate.suite, candidate.max_turns)
        self._spots[anchor] = spot

    def _grow(self, tree: RolloutTree, event: EpisodeDone, *, success: bool) -> None:
        """The prefixes that a rollout passed become spots."""
        prompt = self._prompts[tree.index]
        prompt.outcomes.add(success)
        record = tree.rollouts[event.rollout]
        path = tree.path(record.tip)[:-1]
        for depth, node in enumerate(path, start=1):
            anchor = Anchor(tree.index, node)
            if depth <= tree.depth(record.anchor) or anchor in self._spots:
                continue
            told = event.predictions.get(node)
            v = self._belief.value(told, step=self._step)
            sure = self._belief.sure(told, step=self._step) if self._belief.posterior else None
            expense = self._expenses.expect(prompt.suite, prompt.max_turns, depth=depth, prediction=told)
            spot = Spot(anchor, Coin(v, sure), success, self._prices.expected(expense), depth)
            self._spots[anchor] = spot
            self._push(spot)
        if prompt.mixed:
            prompt.spot.done = True

    def _ended(self, spot: Spot, outcome: bool | None) -> None:
        """A rollout from a spot has ended; `outcome` None where it does not count."""
        spot.running -= 1
        if outcome is not None:
            spot.coin.wins += outcome
            spot.coin.losses += not outcome
            if spot.success is None:
                spot.success = outcome
            elif outcome is not spot.success:
                spot.done = spot.done or self._stop_at_flip or not spot.depth
            else:
                spot.tries += 1
                spot.done = spot.done or (spot.depth > 0 and 0 < self._patience <= spot.tries)
        self._push(spot)

    def _push(self, spot: Spot) -> None:
        """Enter a spot at its present priority; earlier entries of it count no more."""
        spot.version += 1
        prompt = self._prompts[spot.anchor.tree]
        if spot.done or (not spot.depth and prompt.roots + spot.needs > self._cap):
            return
        priority = spot.worth() / max(spot.cost, 1e-9) ** self._per_cost
        if priority > 0.0:
            number = next(self._entries)
            heapq.heappush(self._heap, (-priority, self._ties.random(), number, spot, spot.version))

    def _fill(self, ledger: Ledger) -> list[Grant]:
        """Grant the best until as much runs as when the step opened, or nothing is left."""
        grants: list[Grant] = []
        while ledger.running < self._width and ledger.granted < self._left:
            spot, drawn = self._random(ledger), True
            if spot is None:
                spot, drawn = self._best(self._left - ledger.granted), False
            if spot is None:
                break
            grants.append(self._grant(ledger, spot, spot.needs, self._reason(spot, drawn=drawn), 1.0))
            self._push(spot)
        return grants

    def _best(self, left: int) -> Spot | None:
        """The spot of highest priority that `left` rollouts pay for."""
        kept, found = [], None
        while self._heap and found is None:
            entry = heapq.heappop(self._heap)
            spot = entry[3]
            if spot.done or entry[4] != spot.version:
                continue
            if spot.needs <= left:
                found = spot
            else:
                kept.append(entry)
        for entry in kept:
            heapq.heappush(self._heap, entry)
        return found

    def _random(self, ledger: Ledger) -> Spot | None:
        """Now and then, a prompt that was not played, whatever its worth."""
        if not self._epsilon or self._left - ledger.granted < 2:
            return None
        rng = np.random.default_rng([self._seed, self._step, 1, 1, 1 + ledger.granted])
        if rng.random() >= self._epsilon:
            return None
        fresh = [prompt.spot for prompt in self._prompts.values() if not prompt.roots]
        return fresh[int(rng.integers(len(fresh)))] if fresh else None

    def _grant(self, ledger: Ledger, spot: Spot, many: int, reason: str, propensity: float) -> Grant:
        coin = spot.coin
        worth = float(root_contrast(coin.v, many, coin.sure)) if spot.needs > 1 else spot.worth()
        self._expected += many * spot.cost
        spot.running += many
        root = not spot.depth
        if root:
            self._prompts[spot.anchor.tree].roots += many
        return ledger.grant(
            spot.anchor,
            many,
            stage=Stage.ROOT if root else Stage.FORK,
            reason=reason,
            propensity=propensity,
            depth=spot.depth,
            promised=worth,
            before=None if root else spot.success,
        )

    def _reason(self, spot: Spot, *, drawn: bool) -> str:
        where = f"turn {spot.depth} of a {'success' if spot.success else 'failure'}" if spot.depth else "root"
        worth = f"new contrast with p={spot.worth():.2f} a rollout"
        cost = f", expected cost {spot.cost:.1f}" if self._per_cost else ""
        chosen = f"drawn at random (epsilon={self._epsilon:g})" if drawn else "best of the queue"
        return f"{chosen}: {where}, {worth}{cost}"
