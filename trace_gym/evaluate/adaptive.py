"""The scheduler of an adaptive evaluation: rollouts go where they narrow the interval of this fixed set of
tasks most per token, until the interval is narrow enough or the budget is spent.

It plays in rounds, each half as large as all before it: what a round is made of depends on the rounds before
it alone, which is what keeps the interval valid (see `statistics.adaptive`). Leaves out forks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_gym.core.budget import FREE, Budget, Cost
from trace_gym.core.errors import BadConfig
from trace_gym.core.scheduler import Answer, Candidate, EpisodeDone, Event, Grant, TurnDone
from trace_gym.core.tree import Anchor, Forest, RolloutTree
from trace_gym.statistics.adaptive import GROWTH, AdaptiveRounds, Estimate, drawn, neyman
from trace_gym.statistics.mixture import Array, Beliefs

UNITS = ("tokens", "trajectories", "seconds", "usd")
SMALLEST = 0.25
"""A round is not worth it below so many attempts a task, by price."""


@dataclass(frozen=True, slots=True)
class AdaptiveConfig:
    """`half_width`: stop when the 95 % interval is at most so wide on either side (None: spend the budget).
    `pilot`: attempts at every task in the first round, where nothing is known. `prior`: (wins, attempts) by
    task key from another evaluation, such as an earlier checkpoint's: it steers, and never counts; each
    task's is weighed as `trust` attempts at most. `unit`: what is to be saved."""

    half_width: float | None = None
    pilot: int = 2
    prior: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    trust: float = 16.0
    unit: str = "tokens"

    def __post_init__(self) -> None:
        if self.half_width is not None and not 0 < self.half_width < 0.5:
            raise BadConfig(f"a half width lies between 0 and 0.5, got {self.half_width}")
        if self.pilot < 2:
            raise BadConfig(
                f"the first round needs at least 2 attempts a task to see noise, got {self.pilot}"
            )
        if self.unit not in UNITS:
            raise BadConfig(f"what is to be saved is one of {', '.join(UNITS)}, got {self.unit!r}")


@dataclass(slots=True)
class _Open:
    """A round being played: what it expected and drew (T,), how many rollouts run, outcomes so far (T,)."""

    expected: Array
    before: Beliefs | None
    drawn: Array
    running: int
    counts: Array
    wins: Array


class Adaptive:
    """A Scheduler. Lifecycle: one step; `estimate` and `facts` tell what was found once it has been played,
    or played again from a journal."""

    def __init__(self, config: AdaptiveConfig, *, seed: int = 0) -> None:
        self.config = config
        self._seed = seed
        self._pool: Sequence[Candidate] = ()
        self._limits: dict[str, float] = {}
        self._rounds = AdaptiveRounds(np.zeros(0), np.zeros(0))
        self._open: _Open | None = None
        self._number = 0
        self._spent: dict[int, Cost] = {}
        self._episodes: dict[str, Array] = {}
        self._tries = np.zeros(0)
        self._granted = np.zeros(0)

    @property
    def pool_size(self) -> int | None:
        """All there are."""
        return None

    @property
    def forks(self) -> bool:
        """Never."""
        return False

    @property
    def hears_turns(self) -> bool:
        """Turns decide nothing here."""
        return False

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        """Grant the first round. Raises BadConfig where neither a width nor a budget says when to stop, or
        where the budget cannot pay a first round."""
        limits = {unit: budget.left(unit) for unit in UNITS}
        self._limits = {unit: left for unit, left in limits.items() if left < inf}
        if not self._limits and self.config.half_width is None:
            raise BadConfig("an adaptive evaluation stops at a budget or at a width: say one of them")
        tasks = len(pool)
        self._pool, self._tries, self._granted = pool, np.zeros(tasks), np.zeros(tasks)
        self._episodes = {unit: np.zeros(tasks) for unit in UNITS}
        found = [self.config.prior.get(candidate.task, (0.0, 0.0)) for candidate in pool]
        wins, attempts = np.array(found).T
        trusted = np.minimum(1.0, self.config.trust / np.maximum(attempts, 1.0))
        self._rounds = AdaptiveRounds(wins * trusted, attempts * trusted)
        known = bool((attempts > 0).all())
        first = float(tasks * (1 if known else self.config.pilot))
        if first > self._limits.get("trajectories", inf):
            raise BadConfig(f"the first round takes {first:g} trajectories, the budget has fewer; raise it")
        if not known:
            return self._grants(np.full(tasks, float(self.config.pilot)), None)
        return self._planned(np.ones(tasks), first)

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        """Take note of an end; after the last one of a round, grant the next. A round without any outcome is
        none, and the last: what is broken is not played for ever."""
        if isinstance(event, TurnDone) or self._open is None:
            return []
        playing, place = self._open, event.tree
        playing.running -= 1
        self._spent[place] = tree.cost
        if isinstance(event, EpisodeDone):
            episode = tree.episode(event.rollout)
            self._tries[place] += 1
            for unit, amount in _amounts(episode.cost + Cost(trajectories=1)).items():
                self._episodes[unit][place] += amount
            if episode.success is not None:
                playing.counts[place] += 1
                playing.wins[place] += episode.success
        if playing.running:
            return []
        self._open = None
        if not playing.counts.any():
            return []
        self._rounds.close(
            playing.expected, playing.counts, playing.wins, playing.before, drawn=playing.drawn
        )
        return self._next()

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """How many rounds it took."""
        return {"rounds": float(len(self._rounds.rounds))}

    def state_dict(self) -> dict[str, Any]:
        """The seed; a step in progress is repeated from the journal."""
        return {"seed": self._seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the seed back."""
        self._seed = int(state["seed"])

    def estimate(self, tasks: Collection[str] | None = None) -> Estimate | None:
        """Mean success over all tasks, or over these (by key), without those that were tried and never had an
        outcome; None where there are no outcomes."""
        members = np.array([tasks is None or each.task in tasks for each in self._pool], dtype=bool)
        return self._rounds.estimate(members) if self._rounds.counts()[members].any() else None

    def granted(self) -> dict[str, int]:
        """How many attempts were granted by task key, those included that came to nothing."""
        return {c.task: int(n) for c, n in zip(self._pool, self._granted, strict=True)}

    def facts(self) -> dict[str, Any]:
        """What it did, as JSON data: rounds, attempts, and what plain evaluations would have spent for the
        same interval, by what is believed now: the same for every task, and the best there is (Neyman's with
        the tasks known)."""
        estimate = self.estimate()
        if estimate is None:
            return {"rounds": 0}
        left = self._rounds.left()
        noise, price = self._rounds.beliefs().noise[left], self._price(self._unit)[left]
        per_variance = 1 / max(estimate.error, 1e-9) ** 2 / len(noise) ** 2
        return {
            "rounds": len(self._rounds.rounds),
            "attempts": float(self._rounds.counts().sum()),
            "half_width": estimate.half_width,
            "anytime": list(estimate.anytime),
            "unit": self._unit,
            "spent": _amounts(sum(self._spent.values(), FREE))[self._unit],
            "uniform_would_spend": float(noise.sum() * price.sum() * per_variance),
            "best_would_spend": float(np.sqrt(noise * price).sum() ** 2 * per_variance),
        }

    @property
    def _unit(self) -> str:
        """What is to be saved; trajectories for agents that spend nothing of it."""
        spends = self._episodes[self.config.unit].sum() > 0
        return self.config.unit if spends else "trajectories"

    def _next(self) -> list[Grant]:
        """The next round, if one is wanted and paid for."""
        estimate = self._rounds.estimate()
        target = self.config.half_width
        if target is not None and estimate.half_width <= target:
            return []
        price, unit = self._price(self._unit), self._unit
        purse = GROWTH * float(self._tries @ price)
        if target is not None and estimate.error > 0:
            error = target * estimate.error / estimate.half_width
            purse = min(purse, 1.05 * self._rounds.needed(price, error))
        smallest = SMALLEST * float(price[self._rounds.left()].sum())
        purse = max(purse, smallest)
        left = self._left(unit)
        if left - purse < 0.5 * purse:
            purse = left
        return self._planned(price, purse) if purse >= smallest else []

    def _planned(self, price: Array, purse: float) -> list[Grant]:
        """A round for `purse` in all, cut to what every limit pays."""
        before, left = self._rounds.beliefs(), self._rounds.left()
        expected = np.zeros(len(price))
        expected[left] = neyman((before.noise + before.doubt)[left], price[left], purse)
        for unit in self._limits:
            cost = float(expected @ self._price(unit))
            expected = expected * min(1.0, self._left(unit) / cost) if cost > 0 else expected
        if float(expected @ price) < 0.99 * SMALLEST * float(price[left].sum()):
            return []
        return self._grants(expected, before)

    def _grants(self, expected: Array, before: Beliefs | None) -> list[Grant]:
        rng = np.random.default_rng([self._seed, len(self._rounds.rounds)])
        counts = expected.astype(np.int64) if before is None else drawn(expected, rng)
        nothing: NDArray[np.float64] = np.zeros(len(expected))
        drawn_now = counts.astype(np.float64)
        self._granted += drawn_now
        running = int(counts.sum())
        self._open = _Open(expected, before, drawn_now, running, nothing.copy(), nothing.copy())
        grants = []
        for place in np.flatnonzero(counts).tolist():
            reason = f"round {len(self._rounds.rounds) + 1}: {expected[place]:.2f} attempts expected"
            anchor, share = Anchor(self._pool[place].index), float(expected[place])
            grants.append(Grant(self._number, anchor, int(counts[place]), reason, share))
            self._number += 1
        return grants

    def _price(self, unit: str) -> Array:
        """What an attempt at every task costs (T,): its own mean, drawn to the mean of all by two attempts'
        weight; 1 where nothing is known or nothing is spent."""
        total, tries = float(self._episodes[unit].sum()), float(self._tries.sum())
        if not total:
            return np.ones(len(self._pool))
        price: Array = (self._episodes[unit] + 2 * total / tries) / (self._tries + 2)
        return price

    def _left(self, unit: str) -> float:
        """What the next round may be expected to spend: what is left, but for two standard deviations of
        what rounds of that size cost; everything of trajectories, whose number is known."""
        if unit not in self._limits:
            return inf
        left = self._limits[unit] - _amounts(sum(self._spent.values(), FREE))[unit]
        if unit == "trajectories":
            return left
        price = self._price(unit)
        return max(0.0, left - 2 * sqrt(max(0.0, left) * float((price**2).sum() / price.sum())))


def _amounts(cost: Cost) -> dict[str, float]:
    """A cost in the units of a budget."""
    seconds = cost.model_seconds + cost.env_seconds
    spent = (cost.decoded, cost.trajectories, seconds, cost.usd)
    return dict(zip(UNITS, map(float, spent), strict=True))
