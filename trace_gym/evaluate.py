"""Evaluation on held-out tasks: play them, say how sure the numbers are, and leave nothing out.

It leaves out training, and comparing runs with each other.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trace_gym.core.agent import Agent
from trace_gym.core.budget import Budget
from trace_gym.core.check import Status
from trace_gym.core.episode import Episode, StopReason
from trace_gym.core.errors import BadConfig
from trace_gym.core.journal import Journal
from trace_gym.core.task import Split, Task
from trace_gym.core.tree import Forest
from trace_gym.environment.registry import Suite
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.player import CollectorConfig, Listener
from trace_gym.schedule.uniform import Uniform
from trace_gym.statistics import Interval, pass_at, success_interval


@dataclass(frozen=True, slots=True)
class EvalConfig:
    """`attempts` per task (k); `tasks` at most per suite (None: all), a fixed sample decided by `seed`."""

    split: Split = Split.TEST
    attempts: int = 1
    tasks: int | None = None
    seed: int = 0
    workers: int = 64
    turn_tokens: int = 256

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise BadConfig(f"attempts per task (k) must be at least 1, got {self.attempts}")
        if self.tasks is not None and self.tasks < 1:
            raise BadConfig(f"tasks per suite must be at least 1, got {self.tasks}")
        if self.workers < 1 or self.turn_tokens < 1:
            given = f"{self.workers} workers and {self.turn_tokens} tokens"
            raise BadConfig(f"an evaluation needs at least one worker and one token a turn, got {given}")


@dataclass(frozen=True, slots=True)
class CheckRate:
    """How often a check passed at the end of the scored episodes that had a finding for it."""

    passed: int
    found: int


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found. `success` is over all tasks; `by` holds the same per suite and subset."""

    success: Interval
    by: Mapping[str, Interval]
    pass_at: Mapping[int, float]
    episodes: int
    invalid: int
    censored: int
    tasks: int
    stops: Mapping[str, int]
    failures: Mapping[str, int]
    checks: Mapping[str, CheckRate]
    cost: Mapping[str, float]
    turns_per_episode: float
    cost_per_success: Mapping[str, float] | None

    def json(self) -> dict[str, Any]:
        """The report as JSON data."""
        return {
            "success": self.success.json(),
            "by": {name: interval.json() for name, interval in self.by.items()},
            "pass_at": {str(k): value for k, value in self.pass_at.items()},
            "tasks": self.tasks,
            "episodes": self.episodes,
            "invalid": self.invalid,
            "censored": self.censored,
            "stops": dict(self.stops),
            "failures": dict(self.failures),
            "checks": {name: {"passed": c.passed, "found": c.found} for name, c in self.checks.items()},
            "turns_per_episode": self.turns_per_episode,
            "cost": dict(self.cost),
            "cost_per_success": None if self.cost_per_success is None else dict(self.cost_per_success),
        }


async def evaluate(
    suites: Sequence[Suite],
    agent: Agent,
    *,
    config: EvalConfig | None = None,
    budget: Budget | None = None,
    journal: Journal | None = None,
    listener: Listener | None = None,
) -> Report:
    """Play `attempts` episodes of every chosen task of `suites` and report. With a journal that holds part
    of the evaluation, only the rest is played. Raises BadConfig, and whatever agent and journal raise."""
    config = config or EvalConfig()
    tasks = _all_tasks(suites, config)
    collecting = CollectorConfig(
        seed=config.seed, workers=config.workers, turn_tokens=config.turn_tokens, training=False
    )
    makers = {suite.name: suite.make for suite in suites}
    scheduler = Uniform(n=config.attempts)
    async with Collector(
        makers, agent, scheduler, journal=journal, listener=listener, config=collecting
    ) as collector:
        forest = await collector.collect(0, tasks, budget or Budget())
    report = summarise(forest, attempts=config.attempts)
    if journal:
        measured = {} if report.success.mean is None else {"success": report.success.mean}
        journal.close_step(0, {"episodes": float(report.episodes), **measured})
    return report


def chosen(suite: Suite, config: EvalConfig) -> list[Task]:
    """The tasks of a suite that an evaluation plays: all, or a sample, in their order. Which places of
    the list the sample takes depends on the suite's name, the list's length and the seed alone."""
    tasks = suite.tasks(config.split)
    if config.tasks is None or config.tasks >= len(tasks):
        return list(tasks)

    def rank(index: int) -> bytes:
        return hashlib.blake2b(f"{config.seed}/{suite.name}/{index}".encode(), digest_size=8).digest()

    return [tasks[index] for index in sorted(sorted(range(len(tasks)), key=rank)[: config.tasks])]


def _all_tasks(suites: Sequence[Suite], config: EvalConfig) -> list[Task]:
    """The chosen tasks of all suites; each has one environment to be played in, and is there once."""
    names = ", ".join(suite.spec for suite in suites)
    options = {suite.name: suite.options for suite in suites}
    if any(options[suite.name] != suite.options for suite in suites):
        raise BadConfig(f"one evaluation gives a suite the same options throughout, got {names}")
    tasks = [task for suite in suites for task in chosen(suite, config)]
    if not tasks:
        raise BadConfig(f"no tasks in the {config.split} split of {names}")
    key, times = Counter(task.key for task in tasks).most_common(1)[0]
    if times > 1:
        raise BadConfig(f"{names} overlap: {key} is in {times} of them; for more attempts at a task say -k")
    return tasks


def summarise(forest: Forest, *, attempts: int) -> Report:
    """The report on a finished forest."""
    episodes = forest.episodes()
    scored = [episode for episode in episodes if episode.success is not None]
    outcomes = _outcomes(scored)
    families = {episode.task.key: _family(episode.task) for episode in episodes}
    groups: dict[str, list[Episode]] = defaultdict(list)
    for episode in scored:
        groups[episode.task.suite].append(episode)
        if episode.task.subset:
            groups[f"{episode.task.suite}:{episode.task.subset}"].append(episode)
    cost = forest.cost.json()
    wins = sum(bool(episode.success) for episode in scored)
    turns = sum(len(episode.turns) - 1 for episode in scored)
    return Report(
        success=success_interval(outcomes, families),
        by={name: success_interval(_outcomes(group), families) for name, group in sorted(groups.items())},
        pass_at={
            k: value
            for k in range(1, attempts + 1)
            if (value := pass_at(k, list(outcomes.values()))) is not None
        },
        episodes=len(episodes),
        invalid=sum(episode.stop is StopReason.INVALID for episode in episodes),
        censored=sum(episode.stop is StopReason.CENSORED for episode in episodes),
        tasks=len({episode.task.key for episode in episodes}),
        stops=Counter(str(episode.stop) for episode in episodes),
        failures=Counter(str(episode.failure) for episode in episodes if episode.failure),
        checks=_checks(scored),
        cost=cost,
        turns_per_episode=turns / len(scored) if scored else 0.0,
        cost_per_success={name: value / wins for name, value in cost.items()} if wins else None,
    )


def _family(task: Task) -> str:
    return f"{task.suite}/{task.family}"


def _outcomes(episodes: Iterable[Episode]) -> dict[str, list[bool]]:
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for episode in episodes:
        outcomes[episode.task.key].append(bool(episode.success))
    return outcomes


def _checks(episodes: Iterable[Episode]) -> dict[str, CheckRate]:
    rates: dict[str, CheckRate] = {}
    for episode in episodes:
        for verdict in episode.turns[-1].verdicts:
            if verdict.status not in (Status.PASS, Status.FAIL):
                continue
            name = f"{episode.task.suite}.{verdict.name}"
            rate = rates.get(name, CheckRate(0, 0))
            rates[name] = CheckRate(rate.passed + (verdict.status is Status.PASS), rate.found + 1)
    return rates
