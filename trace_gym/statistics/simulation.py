"""Adaptive evaluations of tasks whose success probabilities are known: coverage, bias, saving.

Leaves out rollouts: outcomes are drawn from the known probabilities, so a thousand evaluations take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trace_gym.statistics.adaptive import GROWTH, AdaptiveRounds, Estimate, drawn, neyman, round_variances
from trace_gym.statistics.mixture import Array, Beliefs, informed


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Tasks: success probability and price of an attempt, arrays (T,)."""

    success: Array
    price: Array


@dataclass(frozen=True, slots=True)
class Simulated:
    """What `runs` evaluations showed. In how many the interval `covered` the truth, and the anytime interval
    did at every round; `bias` in standard errors; the mean squared error `claimed` and the one `seen`; what
    was `spent`, and what the same accuracy costs `uniform` and with the `best` allocation (nothing where all
    outcomes are certain), all in attempts a task of the mean price; `saving`: the share of the best
    allocation's saving that was reached, `informed` what the same rounds reach that know the spread of
    success exactly, but not which task is which."""

    runs: int
    covered: int
    covered_always: int
    bias: float
    claimed: float
    seen: float
    spent: float
    uniform: float
    best: float
    half_width: float
    informed: float

    @property
    def saving(self) -> float:
        """(uniform - spent) / (uniform - best)."""
        return (self.uniform - self.spent) / (self.uniform - self.best)


@dataclass(slots=True)
class Informed(AdaptiveRounds):
    """Rounds that know how success is spread over the tasks, of which only a simulation can be sure."""

    spread: Array = field(default_factory=lambda: np.zeros(0))

    def beliefs(self) -> Beliefs:
        """What is believed of the tasks now, knowing the spread."""
        return informed(*self.known(), self.spread)


def simulate(
    tasks: Population,
    *,
    budget: float,
    runs: int,
    seed: int = 0,
    pilot: int = 2,
    prior: int = 0,
    half_width: float | None = None,
) -> Simulated:
    """Evaluate `tasks` adaptively `runs` times, spending `budget` attempts a task of the mean price, or until
    `half_width` is reached. `prior` attempts at every task are known from another evaluation, drawn anew."""
    rng = np.random.default_rng(seed)
    truth, found = float(tasks.success.mean()), []
    for _ in range(runs):
        rounds = AdaptiveRounds(*_known(tasks, prior, rng))
        found.append(_evaluated(tasks, rounds, budget, pilot, half_width, rng))
    last = [estimates[-1] for estimates, _, _ in found]
    errors = np.array([each.mean - truth for each in last])
    claimed, seen = float(np.mean([each.error**2 for each in last])), float(np.mean(errors**2))
    noise, price = tasks.success * (1 - tasks.success), tasks.price / tasks.price.mean()
    count, true = len(price), float(np.mean([variance for _, _, variance in found]))
    spent = float(np.mean([spent for _, spent, _ in found]))
    always = [all(e.anytime[0] <= truth <= e.anytime[1] for e in estimates) for estimates, _, _ in found]
    return Simulated(
        runs=runs,
        covered=sum(each.low <= truth <= each.high for each in last),
        covered_always=sum(always),
        bias=float(errors.mean() / np.sqrt(seen)) if seen else 0.0,
        claimed=claimed,
        seen=seen,
        spent=spent,
        uniform=float(noise.sum() / count**2 / true) if true else 0.0,
        best=float(np.sqrt(noise * price).sum() ** 2 / count**3 / true) if true else 0.0,
        half_width=float(np.mean([each.half_width for each in last])),
        informed=_informed(tasks, spent, runs=max(2, runs // 5), seed=seed, pilot=pilot, prior=prior),
    )


def _informed(tasks: Population, budget: float, *, runs: int, seed: int, pilot: int, prior: int) -> float:
    """The share of the best allocation's saving that is reached by rounds that know the spread."""
    rng, variances = np.random.default_rng(seed), []
    for _ in range(runs):
        rounds = Informed(*_known(tasks, prior, rng), spread=tasks.success)
        variances.append(_evaluated(tasks, rounds, budget, pilot, None, rng)[2])
    noise, price = tasks.success * (1 - tasks.success), tasks.price / tasks.price.mean()
    uniform, best = float(noise.mean()), float(np.mean(np.sqrt(noise * price))) ** 2
    if uniform - best < 1e-12:
        return 1.0
    return (uniform - budget * len(price) * float(np.mean(variances))) / (uniform - best)


def _known(tasks: Population, prior: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Wins and attempts (T,) of an earlier evaluation."""
    return rng.binomial(prior, tasks.success).astype(float), np.full(len(tasks.price), float(prior))


def _evaluated(
    tasks: Population,
    rounds: AdaptiveRounds,
    budget: float,
    pilot: int,
    half_width: float | None,
    rng: np.random.Generator,
) -> tuple[list[Estimate], float, float]:
    """One evaluation: the estimate after every round, what was spent, and the variance that the last estimate
    has with the tasks known."""
    price, count = tasks.price / tasks.price.mean(), len(tasks.price)
    prior, spent, estimates = bool(rounds.prior_attempts.any()), 0.0, list[Estimate]()
    purse = 1.0 if prior else float(pilot)
    while purse > 0:
        before = rounds.beliefs() if prior or rounds.rounds else None
        if before is None:
            expected = np.full(count, float(pilot))
            counts = np.full(count, pilot)
        else:
            expected = neyman(before.noise + before.doubt, price, purse * count)
            counts = drawn(expected, rng)
        wins = rng.binomial(counts, tasks.success)
        rounds.close(expected, counts.astype(float), wins.astype(float), before)
        spent += float(counts @ price) / count
        estimates.append(rounds.estimate())
        if half_width is not None and estimates[-1].half_width <= half_width:
            break
        purse = min(GROWTH * spent, budget - spent)
        if budget - spent - purse < 0.5 * purse:
            purse = budget - spent
        if half_width is not None:
            error = half_width * estimates[-1].error / estimates[-1].half_width
            purse = min(purse, max(0.25, 1.05 * rounds.needed(price, error) / count))
        if purse < 0.25:
            break
    weights = np.array([each.weight for each in rounds.rounds])
    noise = tasks.success * (1 - tasks.success)
    variances = [
        float(round_variances(each.expected, noise, (tasks.success - each.guess) ** 2).sum()) / count**2
        for each in rounds.rounds
    ]
    return estimates, spent, float((weights / weights.sum()) ** 2 @ np.array(variances))
