"""Spending attempts where they narrow the interval of a fixed set of tasks most, and an interval that stays
valid although the data decided where the attempts went.

An evaluation goes in rounds. What round r expects to spend on a task (`expected`) and what it believes of the
task (`guess`) depend on earlier rounds only; each round's estimate is therefore unbiased given the past,

    x_r = 1/T sum_i [ guess_i + sum over m_i outcomes (outcome - guess_i) / e_i ],

with m_i attempts drawn so that E[m_i] = e_i, and the rounds' weighted mean is a martingale whose weights are
fixed before each round. Stopping by width or by budget looks at its variance alone.

Attempts may come to nothing: the others of that task and round then stand for them, and where there are none
the guess does, as unsure as it is. A task of which no attempt ever had an outcome is left out of everything.
Leaves out what a round is made of: rollouts, grants, purses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from trace_gym.statistics.interval import wilson
from trace_gym.statistics.mixture import Array, Beliefs, beliefs

GROWTH = 0.5
"""A round is so large, as a share of what was spent before it: smaller ones learn more often where to spend,
larger ones wait less often for their last episode."""

LEAST = 0.1
"""No task is expected to get fewer attempts in a round than this: what looks certain is looked at again."""


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """A round that is over; arrays (T,). Of `drawn` attempts `counts` had an outcome. `weight` was set before
    it, from its predicted variance."""

    expected: Array
    guess: Array
    drawn: Array
    counts: Array
    wins: Array
    weight: float

    @property
    def estimates(self) -> Array:
        """The tasks' estimates from this round alone (T,)."""
        surplus = self.wins - self.counts * self.guess
        estimates: Array = self.guess + self._standing * surplus / _divisor(self.expected)
        return estimates

    def variances(self, noise: Array, doubt: Array) -> Array:
        """Their variances (T,), as `round_variances` but for attempts that came to nothing."""
        planned = round_variances(self.expected, noise, doubt)
        partly = planned + noise * (self._standing - 1) / _divisor(self.expected)
        found: Array = np.where((self.drawn > 0) & (self.counts == 0), doubt, partly)
        return found

    @property
    def _standing(self) -> Array:
        """How many of the attempts drawn each outcome stands for (T,)."""
        standing: Array = np.where(self.counts > 0, self.drawn / np.maximum(self.counts, 1), 1.0)
        return standing


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean success over the fixed tasks; `low`, `high` hold for the stopping rules of `AdaptiveRounds`,
    `anytime` whenever anybody stops, for whatever reason."""

    mean: float
    error: float
    low: float
    high: float
    anytime: tuple[float, float]

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(slots=True)
class AdaptiveRounds:
    """The rounds over T tasks so far. `prior_wins` and `prior_attempts` (T,) come from elsewhere, such as an
    evaluation of an earlier checkpoint: they decide where attempts go, and never count as outcomes.

    Lifecycle: hold `beliefs`, allocate to what is `left` with `neyman`, play, `close`, and again. Invariant:
    every round but a first one without prior attempts has its weight from beliefs held before it.
    """

    prior_wins: Array
    prior_attempts: Array
    rounds: list[Round] = field(default_factory=list)

    def known(self) -> tuple[Array, Array]:
        """Wins and attempts (T,), those from elsewhere and those of all rounds."""
        wins = self.prior_wins + sum(each.wins for each in self.rounds)
        return wins, self.prior_attempts + sum(each.counts for each in self.rounds)

    def beliefs(self) -> Beliefs:
        """What is believed of the tasks now."""
        return beliefs(*self.known())

    def counts(self) -> Array:
        """Attempts with an outcome (T,), in all rounds."""
        return sum((each.counts for each in self.rounds), np.zeros(len(self.prior_wins)))

    def left(self) -> NDArray[np.bool_]:
        """Which tasks (T,) can be measured: all but those that were tried and never had an outcome."""
        tried = sum((each.drawn for each in self.rounds), np.zeros(len(self.prior_wins)))
        measurable: NDArray[np.bool_] = (tried == 0) | (self.counts() > 0)
        return measurable

    def close(
        self,
        expected: Array,
        counts: Array,
        wins: Array,
        before: Beliefs | None,
        *,
        drawn: Array | None = None,
    ) -> None:
        """Take in a round: what it expected (0 of tasks that are not `left`), how many attempts (T,) had an
        outcome, how many of them won, what was believed before it (None: nothing was, all tasks were expected
        to get the same), and how many attempts were made (None: all of them had an outcome)."""
        held = before or beliefs(wins, counts)
        playing = int(np.count_nonzero(expected))
        variance = float(round_variances(expected, held.noise, held.doubt).sum()) / playing**2
        weight = 1 / max(variance, 1e-12)
        made = counts if drawn is None else drawn
        self.rounds.append(Round(expected, held.mean, made, counts, wins, weight))

    def needed(self, price: Array, error: float) -> float:
        """What further rounds must spend for a standard error of `error`, by the present beliefs."""
        held, left = self.beliefs(), self.left()
        lacking = max(0.0, 1 / error**2 - sum(each.weight for each in self.rounds))
        wish = np.sqrt((held.noise + held.doubt) * price)[left]
        return lacking * float(wish.sum()) ** 2 / len(wish) ** 2

    def estimate(self, members: NDArray[np.bool_] | None = None, *, level: float = 0.95) -> Estimate:
        """The estimate over all tasks that are `left`, or over the `members` (T,) among them. ValueError
        where none of them has an outcome.

        The variance of a round takes each task's noise and the error of the guess from all that is known at
        the end. With n tasks that carry it (Satterthwaite 1946), each one's noise known from few attempts, it
        is known to about sqrt(2/n) of itself, which is added to it. The interval is Wilson's with the sample
        size that goes with it and Student's quantile for n degrees of freedom, further out on the side to
        which the estimate is skew (Cornish and Fisher 1938): at rates near 0 it is, and a variance known from
        elsewhere does not grow with it. Near 0 and 1 the sample is as large as the noise believed in makes
        it, and without a single win the interval reaches down to 0, without a failure up to 1. The anytime
        interval widens it as the asymptotic confidence sequence of Waudby-Smith et al. (2024, arXiv
        2103.06476) widens the normal one, tuned to the first round.
        """
        chosen = self.left() if members is None else self.left() & members
        attempts = float(self.counts()[chosen].sum())
        if not attempts:
            raise ValueError("no round has brought an outcome")
        held, tasks = self.beliefs(), int(chosen.sum())
        weights = np.array([each.weight for each in self.rounds]) / sum(each.weight for each in self.rounds)
        values = np.array([each.estimates[chosen].mean() for each in self.rounds])
        doubts = [held.doubt + (held.mean - each.guess) ** 2 for each in self.rounds]
        pairs = zip(self.rounds, doubts, strict=True)
        variances = np.array([each.variances(held.noise, doubt)[chosen] for each, doubt in pairs])
        mean = float(np.clip(weights @ values, 0.0, 1.0))
        by_task = weights**2 @ variances / tasks**2
        error = sqrt(float(by_task.sum()))
        carriers = float(by_task.sum() ** 2 / np.sum(by_task**2)) if error else float(tasks)
        quantile = float(stats.t.ppf(0.5 + level / 2, carriers))
        careful = error**2 * (1 + sqrt(2 / carriers))
        noise = max(mean * (1 - mean), float(held.noise[chosen].mean()))
        size = max(1.0, noise / careful) if error else max(1.0, attempts)
        lopsided = (held.noise * (1 - 2 * held.mean))[chosen]
        thirds = np.array([np.sum(lopsided / each.expected[chosen] ** 2) for each in self.rounds])
        skew = float(weights**3 @ thirds) / tasks**3 / error**3 if error else 0.0
        further = skew * (quantile**2 - 1) / 6
        below, above = quantile + max(0.0, further), quantile + max(0.0, -further)
        wider = _anytime(error, sqrt(float(variances[0].sum())) / tasks, 1 - level)
        low, high = wilson(mean, size, below)[0], wilson(mean, size, above)[1]
        least, most = wilson(mean, size, below * wider)[0], wilson(mean, size, above * wider)[1]
        wins = float(sum(each.wins[chosen].sum() for each in self.rounds))
        low, least = (low, least) if wins else (0.0, 0.0)
        high, most = (high, most) if wins < attempts else (1.0, 1.0)
        return Estimate(mean, error, low, high, (least, most))


def neyman(variance: Array, price: Array, purse: float, least: float = LEAST) -> Array:
    """Expected attempts (T,) that minimise sum variance_i / e_i with sum price_i e_i = purse and e_i >= least
    (Neyman 1934, with prices); everybody gets the same where the purse does not pay `least` for all."""
    if purse <= least * float(price.sum()):
        return np.full(len(price), purse / float(price.sum()))
    wish = np.sqrt(np.maximum(variance, 1e-9) / price)
    free = np.ones(len(price), dtype=bool)
    while True:
        left = purse - least * float(price[~free].sum())
        expected = np.where(free, wish * left / float((wish * price)[free].sum()), least)
        short = free & (expected < least)
        if not short.any():
            return expected
        free &= ~short


def drawn(expected: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Whole numbers with mean `expected` (T,), each its floor or ceiling, their sum within one of the sum:
    systematic sampling from one uniform number (Madow 1949)."""
    ends = np.floor(np.cumsum(expected) + rng.random() + 1e-9)
    return np.diff(ends, prepend=0.0).astype(np.int64)


def round_variances(expected: Array, noise: Array, doubt: Array) -> Array:
    """The variance of `Round.estimates` task by task (T,), 0 where nothing is expected; `doubt` is
    E(p - guess)^2, which counts as far as the number of attempts is left to chance."""
    part, divisor = expected - np.floor(expected), _divisor(expected)
    whole: Array = noise / divisor + doubt * part * (1 - part) / divisor**2
    return whole


def _divisor(expected: Array) -> Array:
    """What is expected (T,), so that nothing comes of dividing by it where that is nothing."""
    divisor: Array = np.where(expected > 0, expected, np.inf)
    return divisor


def _anytime(error: float, first: float, alpha: float) -> float:
    """How much wider than a normal interval the confidence sequence is at information 1/error^2, being
    narrowest at 1/first^2."""
    if not error or not first:
        return 2.0
    time, tuned = 1 / error**2, 1 / first**2
    squared = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / tuned
    reach = sqrt((time * squared + 1) / squared * log((time * squared + 1) / alpha**2)) / time
    return max(1.0, reach / (error * float(stats.norm.ppf(1 - alpha / 2))))
