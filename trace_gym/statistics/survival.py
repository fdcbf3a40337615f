"""How episodes go on turn by turn: who is still playing, who has solved the task, who has failed.

Episodes that left without an outcome (censored, invalid) count while they were seen, and no longer. Leaves
out why an episode ended: see the table of stop reasons.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, log, sqrt

from scipy import stats


@dataclass(frozen=True, slots=True)
class TurnRow:
    """After turn `turn`: of `at_risk` episodes that took it, `solved` and `failed` ended with it and `lost`
    left unseen. `playing` is the Kaplan-Meier share still playing, with a 95 % interval (None where it is 0
    or 1); `solved_by` and `failed_by` are the shares that ended so up to here; the three add up to 1."""

    turn: int
    at_risk: int
    solved: int
    failed: int
    lost: int
    playing: float
    low: float | None
    high: float | None
    solved_by: float
    failed_by: float

    def json(self) -> dict[str, float | int | None]:
        """The fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def survival(ends: Iterable[tuple[int, bool | None]], *, level: float = 0.95) -> tuple[TurnRow, ...]:
    """A row for every turn at which an episode ended. `ends`: (turns taken, outcome), None for an episode
    that left without one; at one turn, ends count before leaving.

    `playing` is S(t) = prod (1 - d/n) (Kaplan and Meier 1958), its interval Greenwood's variance on the
    log(-log) scale; `solved_by` and `failed_by` are the Aalen-Johansen estimates sum S(t-1) d/n of competing
    ends.
    """
    episodes = list(ends)
    quantile = float(stats.norm.ppf(0.5 + level / 2))
    rows: list[TurnRow] = []
    playing, variance = 1.0, 0.0
    by = {True: 0.0, False: 0.0}
    for turn in sorted({turns for turns, _ in episodes if turns > 0}):
        at_risk = sum(turns >= turn for turns, _ in episodes)
        here = [outcome for turns, outcome in episodes if turns == turn]
        ended = {outcome: here.count(outcome) for outcome in (True, False, None)}
        for outcome in (True, False):
            by[outcome] += playing * ended[outcome] / at_risk
        d = ended[True] + ended[False]
        playing *= 1 - d / at_risk
        if d < at_risk:
            variance += d / (at_risk * (at_risk - d))
        low, high = _loglog(playing, variance, quantile)
        counts = (ended[True], ended[False], ended[None])
        rows.append(TurnRow(turn, at_risk, *counts, playing, low, high, by[True], by[False]))
    return tuple(rows)


def _loglog(playing: float, variance: float, quantile: float) -> tuple[float | None, float | None]:
    if not 0 < playing < 1:
        return None, None
    shift = quantile * sqrt(variance) / log(playing)
    return playing ** exp(-shift), playing ** exp(shift)
