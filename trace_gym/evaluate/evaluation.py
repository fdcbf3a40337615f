"""Playing held-out tasks to the end, from wherever a journal stands, and reporting on them.

Leaves out training, and comparing evaluations with each other: see `compare`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from trace_gym.core.agent import Agent
from trace_gym.core.budget import Budget
from trace_gym.core.journal import Journal
from trace_gym.core.scheduler import Scheduler
from trace_gym.core.tree import Forest
from trace_gym.environment.registry import Suite
from trace_gym.evaluate.adaptive import Adaptive, AdaptiveConfig
from trace_gym.evaluate.attempts import Attempts
from trace_gym.evaluate.plan import EvalConfig, Part, Planned, planned
from trace_gym.evaluate.report import Report, families_of, outcomes_of, summarise
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig, Listener
from trace_gym.rollout.seat import Seats
from trace_gym.statistics import NOTHING, Interval, weighted_interval, weighted_success
from trace_gym.statistics.adaptive import Estimate


async def evaluate(
    suites: Sequence[Suite | Part],
    agent: Agent,
    *,
    config: EvalConfig | None = None,
    budget: Budget | None = None,
    journal: Journal | None = None,
    listener: Listener | None = None,
    seats: Seats | None = None,
) -> Report:
    """Play the planned attempts at every chosen task of `suites` and report; `seats` as the collector's. With
    a journal that holds part of the evaluation, only the rest is played. Raises BadConfig, and whatever agent
    and journal raise."""
    config = config or EvalConfig()
    parts = [suite if isinstance(suite, Part) else Part(suite) for suite in suites]
    plan = planned(parts, config)
    scheduler = Attempts([each.attempts for each in plan], seed=config.seed)
    forest = await _played(parts, plan, agent, scheduler, config, budget, journal, listener, seats)
    report = reported(forest, parts, plan)
    if journal:
        measured = {} if report.success.mean is None else {"success": report.success.mean}
        journal.close_step(0, {"episodes": float(report.episodes), **measured})
    return report


async def evaluate_adaptively(
    suites: Sequence[Suite | Part],
    agent: Agent,
    *,
    adaptive: AdaptiveConfig,
    config: EvalConfig | None = None,
    budget: Budget | None = None,
    journal: Journal | None = None,
    listener: Listener | None = None,
) -> Report:
    """Play attempts where they narrow the interval of the chosen tasks most, as `adaptive` says, and report.
    `config.attempts` is not used. Raises and resumes as `evaluate` does.

    Where attempts went depended on outcomes, so `success` and `by` are the unbiased estimates for this fixed
    set of tasks, less those that were tried and never had an outcome; rates over the episodes played (pass@k,
    checks, turns, cost per success) would be of a biased sample and are left out.
    """
    config = config or EvalConfig()
    parts = [suite if isinstance(suite, Part) else Part(suite) for suite in suites]
    plan = planned(parts, config)
    scheduler = Adaptive(adaptive, seed=config.seed)
    forest = await _played(parts, plan, agent, scheduler, config, budget, journal, listener)
    report = adaptively_reported(forest, scheduler, parts, plan)
    if journal:
        measured = {} if report.success.mean is None else {"success": report.success.mean}
        journal.close_step(0, {"episodes": float(report.episodes), **measured})
    return report


def adaptively_reported(
    forest: Forest, scheduler: Adaptive, parts: Sequence[Part], plan: Sequence[Planned]
) -> Report:
    """The report on a forest that `scheduler` grew of a plan; where it has several parts, with their weighted
    mean."""
    plain = summarise(forest, attempts=scheduler.granted(), planned=len(plan), passes=False)
    scored = Counter(each.task.key for each in forest.episodes() if each.success is not None)

    def found(keys: Collection[str]) -> Interval:
        return _interval(scheduler.estimate(keys), sum(scored[key] for key in keys))

    by_suite, by_part = defaultdict(set), defaultdict(set)
    for each in plan:
        by_suite[each.task.suite].add(each.task.key)
        by_part[each.part].add(each.task.key)
    score = weighted_interval([(part.weight, found(by_part[number])) for number, part in enumerate(parts)])
    return replace(
        plain,
        success=_interval(scheduler.estimate(), scored.total()),
        by={suite: found(keys) for suite, keys in sorted(by_suite.items())},
        checks={},
        survival=(),
        turns_per_episode=None,
        cost_per_success=None,
        score=replace(score, unit="attempt") if len(parts) > 1 else None,
        adaptive=scheduler.facts(),
    )


def _interval(estimate: Estimate | None, attempts: int) -> Interval:
    if estimate is None:
        return NOTHING
    return Interval(estimate.mean, estimate.low, estimate.high, attempts, "attempt", estimate.error)


async def _played(
    parts: Sequence[Part],
    plan: Sequence[Planned],
    agent: Agent,
    scheduler: Scheduler,
    config: EvalConfig,
    budget: Budget | None,
    journal: Journal | None,
    listener: Listener | None,
    seats: Seats | None = None,
) -> Forest:
    collecting = CollectorConfig(
        seed=config.seed, workers=config.workers, turn_tokens=config.turn_tokens, training=False
    )
    makers = {
        part.suite.name: part.suite.make_drawing if config.screenshots else part.suite.make for part in parts
    }
    async with Collector(
        makers, agent, scheduler, journal=journal, listener=listener, config=collecting, seats=seats
    ) as collector:
        return await collector.collect(0, [each.task for each in plan], budget or Budget())


def reported(forest: Forest, parts: Sequence[Part], plan: Sequence[Planned]) -> Report:
    """The report on what was played of a plan; where it has several parts, with their weighted mean."""
    attempts = {each.task.key: each.attempts for each in plan}
    report = summarise(forest, attempts=attempts, planned=len(plan))
    if len(parts) == 1:
        return report
    members = {each.task.key: each.part for each in plan}
    scores = []
    for number, part in enumerate(parts):
        trees = [tree for tree in forest.trees if members[tree.task.key] == number]
        scores.append((part.weight, outcomes_of(Forest(0, trees).episodes())))
    return replace(report, score=weighted_success(scores, families_of(forest)))
