"""What an evaluation found: success and how sure it is, what went wrong, what it cost, nothing left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trace_gym.core.check import Status
from trace_gym.core.episode import SCORED, Episode, StopReason
from trace_gym.core.tree import Forest
from trace_gym.statistics import (
    NOTHING,
    Interval,
    TurnRow,
    all_of,
    any_of,
    mean_interval,
    pass_interval,
    possible,
    ratio_interval,
    success_interval,
    survival,
)


@dataclass(frozen=True, slots=True)
class CheckRate:
    """How often a check passed at the end of the scored episodes that had a finding for it; `rate` is the
    mean over tasks with its interval."""

    passed: int
    found: int
    rate: Interval = field(default=NOTHING, compare=False)

    def json(self) -> dict[str, Any]:
        """The fields by name."""
        return {"passed": self.passed, "found": self.found, "rate": self.rate.json()}


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found. `success` is over all tasks; `by` holds the same per suite and subset.

    `possible`: the least and the largest mean success had the attempts without an outcome failed or
    succeeded: `invalid` (the world broke), `censored` (the budget cut it), `cancelled`, `undecided` (a
    required check had no finding). `planned` tasks were asked for, `tasks` were played. `score` is the
    weighted mean over the parts of a benchmark, `adaptive` what an adaptive evaluation found, which has no
    `turns_per_episode`.
    """

    success: Interval
    by: Mapping[str, Interval]
    pass_at: Mapping[int, Interval]
    pass_all: Mapping[int, Interval]
    possible: tuple[float, float] | None
    episodes: int
    invalid: int
    censored: int
    cancelled: int
    undecided: int
    missing: int
    tasks: int
    planned: int
    stops: Mapping[str, int]
    failures: Mapping[str, int]
    checks: Mapping[str, CheckRate]
    survival: tuple[TurnRow, ...]
    cost: Mapping[str, float]
    turns_per_episode: float | None
    cost_per_success: Mapping[str, Interval] | None
    score: Interval | None = None
    adaptive: Mapping[str, Any] | None = None

    def json(self) -> dict[str, Any]:
        """The report as JSON data."""
        per = self.cost_per_success
        return {
            "success": self.success.json(),
            "by": {name: interval.json() for name, interval in self.by.items()},
            "pass_at": {str(k): interval.json() for k, interval in self.pass_at.items()},
            "pass_all": {str(k): interval.json() for k, interval in self.pass_all.items()},
            "possible": None if self.possible is None else list(self.possible),
            "planned": self.planned,
            "tasks": self.tasks,
            "episodes": self.episodes,
            "invalid": self.invalid,
            "censored": self.censored,
            "cancelled": self.cancelled,
            "undecided": self.undecided,
            "missing": self.missing,
            "stops": dict(self.stops),
            "failures": dict(self.failures),
            "checks": {name: rate.json() for name, rate in self.checks.items()},
            "survival": [row.json() for row in self.survival],
            "turns_per_episode": self.turns_per_episode,
            "cost": dict(self.cost),
            "cost_per_success": None if per is None else {name: value.json() for name, value in per.items()},
            "score": None if self.score is None else self.score.json(),
            "adaptive": None if self.adaptive is None else dict(self.adaptive),
        }


def summarise(
    forest: Forest, *, attempts: int | Mapping[str, int], planned: int | None = None, passes: bool = True
) -> Report:
    """The report on a finished forest, in which every task was to be tried `attempts` times (or as often as
    its key says); `planned` tasks were asked for (None: those of the forest); `passes`: with pass@k."""
    episodes = forest.episodes()
    scored = [episode for episode in episodes if episode.success is not None]
    families = families_of(forest)
    wanted = {key: attempts if isinstance(attempts, int) else attempts[key] for key in families}
    outcomes = outcomes_of(scored)
    missing = {key: lost for key in wanted if (lost := wanted[key] - len(outcomes.get(key, ()))) > 0}
    groups: dict[str, list[Episode]] = defaultdict(list)
    for episode in scored:
        groups[episode.task.suite].append(episode)
        if episode.task.subset:
            groups[f"{episode.task.suite}:{episode.task.subset}"].append(episode)
    ends = Counter(episode.stop for episode in episodes)
    turns = sum(len(episode.turns) - 1 for episode in scored)
    tries = range(1, max(wanted.values(), default=0) + 1) if passes else ()
    by_rule = {
        rule: {k: found for k in tries if (found := pass_interval(rule, k, outcomes, families)).clusters}
        for rule in (any_of, all_of)
    }
    return Report(
        success=success_interval(outcomes, families),
        by={name: success_interval(outcomes_of(group), families) for name, group in sorted(groups.items())},
        pass_at=by_rule[any_of],
        pass_all=by_rule[all_of],
        possible=possible(outcomes, missing),
        episodes=len(episodes),
        invalid=ends[StopReason.INVALID],
        censored=ends[StopReason.CENSORED],
        cancelled=ends[StopReason.CANCELLED],
        undecided=sum(episode.stop in SCORED and episode.success is None for episode in episodes),
        missing=sum(missing.values()),
        tasks=len(forest.trees),
        planned=len(forest.trees) if planned is None else planned,
        stops={str(stop): count for stop, count in ends.items()},
        failures=Counter(str(episode.failure) for episode in episodes if episode.failure),
        checks=_checks(scored, families),
        survival=survival((len(episode.turns) - 1, episode.success) for episode in episodes),
        cost=forest.cost.json(),
        turns_per_episode=turns / len(scored) if scored else 0.0,
        cost_per_success=_cost_per_success(forest, outcomes, families),
    )


def outcomes_of(episodes: Iterable[Episode]) -> dict[str, list[bool]]:
    """The outcomes of scored episodes by task."""
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for episode in episodes:
        if episode.success is not None:
            outcomes[episode.task.key].append(episode.success)
    return dict(outcomes)


def families_of(forest: Forest) -> dict[str, str]:
    """The family of every task by key, apart from those of other suites."""
    return {tree.task.key: f"{tree.task.suite}/{tree.task.family}" for tree in forest.trees}


def _cost_per_success(
    forest: Forest, outcomes: Mapping[str, Sequence[bool]], families: Mapping[str, str]
) -> dict[str, Interval] | None:
    """All that was spent, broken and cut episodes included, over the wins; None without a win."""
    wins = {tree.task.key: float(sum(outcomes.get(tree.task.key, ()))) for tree in forest.trees}
    if not sum(wins.values()):
        return None
    costs = {tree.task.key: tree.cost.json() for tree in forest.trees}
    return {
        name: ratio_interval({key: (costs[key][name], wins[key]) for key in wins}, families)
        for name in forest.cost.json()
    }


def _checks(episodes: Iterable[Episode], families: Mapping[str, str]) -> dict[str, CheckRate]:
    found: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for episode in episodes:
        for verdict in episode.turns[-1].verdicts:
            if verdict.status in (Status.PASS, Status.FAIL):
                name = f"{episode.task.suite}.{verdict.name}"
                found[name][episode.task.key].append(verdict.status is Status.PASS)
    rates: dict[str, CheckRate] = {}
    for name, by_task in found.items():
        means = {task: sum(passes) / len(passes) for task, passes in by_task.items()}
        counts = (sum(map(sum, by_task.values())), sum(map(len, by_task.values())))
        rates[name] = CheckRate(*counts, mean_interval(means, families))
    return rates
