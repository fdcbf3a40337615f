"""Evaluations of scripted agents whose every episode is known: what is counted, what is not, and resuming."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from trace_gym.core.action import Action
from trace_gym.core.agent import Agent, Move, View
from trace_gym.core.budget import Budget, Cost
from trace_gym.core.check import Status, Verdict
from trace_gym.core.episode import Actor, FailureCause, Rollout, StopReason, Turn
from trace_gym.core.errors import BadConfig, ModelFailed
from trace_gym.core.journal import Journal
from trace_gym.core.task import Split, Task
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.environment.registry import Suite, suite
from trace_gym.evaluate import (
    CheckRate,
    EpisodeLimits,
    EvalConfig,
    Part,
    Report,
    chosen,
    evaluate,
    planned,
    summarise,
)
from trace_gym.parts import make_agent
from trace_gym.store import Store
from trace_gym.testing import Crashed, CrashingJournal, MemoryJournal, ScriptedAgent

GUESS = suite("guess")


def play(
    agent: Agent,
    config: EvalConfig,
    *,
    suites: Sequence[Suite | Part] = (GUESS,),
    budget: Budget | None = None,
    journal: Journal | None = None,
) -> Report:
    return asyncio.run(evaluate(suites, agent, config=config, budget=budget, journal=journal))


# Which tasks are played.


def test_all_tasks_are_chosen_unless_fewer_are_asked_for() -> None:
    everything = list(GUESS.tasks(Split.TEST))
    assert chosen(GUESS, EvalConfig()) == everything
    assert chosen(GUESS, EvalConfig(tasks=len(everything) + 1)) == everything
    assert chosen(GUESS, EvalConfig(split=Split.TRAIN)) == list(GUESS.tasks(Split.TRAIN))


def test_a_sample_is_fixed_by_the_seed_keeps_the_order_and_grows() -> None:
    everything = list(GUESS.tasks(Split.TEST))
    small, large = (chosen(GUESS, EvalConfig(tasks=n)) for n in (5, 50))
    assert len(small) == 5
    assert small == chosen(GUESS, EvalConfig(tasks=5))
    assert small != chosen(GUESS, EvalConfig(tasks=5, seed=1))
    assert small == chosen(GUESS, EvalConfig(tasks=5, seed=1, sample=0))
    assert small != everything[:5]
    assert [task for task in large if task in small] == small
    assert [everything.index(task) for task in large] == sorted(everything.index(task) for task in large)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"attempts": 0}, "attempts per task"),
        ({"tasks": 0}, "tasks per suite"),
        ({"workers": 0}, "at least one worker"),
        ({"turn_tokens": 0}, "one token a turn"),
    ],
)
def test_numbers_that_cannot_work_are_refused(wrong: dict[str, int], says: str) -> None:
    with pytest.raises(BadConfig, match=says):
        EvalConfig(**wrong)  # type: ignore[arg-type]


def test_a_task_is_played_by_one_suite_only() -> None:
    with pytest.raises(BadConfig, match=r"guess, guess overlap: guess/.* in 2 of them"):
        play(make_agent("oracle"), EvalConfig(tasks=3), suites=[GUESS, suite("guess")])
    with pytest.raises(BadConfig, match="the same options throughout"):
        play(make_agent("oracle"), EvalConfig(), suites=[GUESS, suite("guess?reward=shaped")])
    with pytest.raises(BadConfig, match="no tasks in the test split of"):
        play(make_agent("oracle"), EvalConfig(), suites=[])


# What a report says about episodes that were played.


def test_the_oracle_solves_everything_and_noop_nothing() -> None:
    config = EvalConfig(tasks=12, attempts=2)
    best, worst = (play(make_agent(name), config) for name in ("oracle", "noop"))
    assert (best.success.mean, best.success.high, best.success.clusters) == (1.0, 1.0, 12)
    assert best.success.low is not None
    assert 0.5 < best.success.low < 1.0
    assert (best.episodes, best.tasks, best.invalid, best.censored) == (24, 12, 0, 0)
    assert {k: found.mean for k, found in best.pass_at.items()} == {1: 1.0, 2: 1.0}
    assert {k: found.mean for k, found in best.pass_all.items()} == {1: 1.0, 2: 1.0}
    assert best.stops == {"terminated": 24}
    assert best.checks == {"guess.found": CheckRate(24, 24)}
    assert best.cost_per_success is not None
    assert best.cost_per_success["steps"].mean == best.turns_per_episode == best.cost["steps"] / 24
    assert (worst.success.mean, worst.success.low) == (0.0, 0.0)
    assert {k: found.mean for k, found in worst.pass_at.items()} == {1: 0.0, 2: 0.0}
    assert worst.stops == {"max_turns": 24}
    assert worst.checks == {"guess.found": CheckRate(0, 24)}
    assert (worst.turns_per_episode, worst.cost["steps"]) == (20.0, 480.0)
    assert worst.cost_per_success is None


def test_broken_episodes_are_counted_apart_and_score_nothing() -> None:
    def rule(view: View) -> Action:
        if view.turns[0].observation == "Find the number between 1 and 1000.":
            raise ModelFailed("the server is gone")
        assert view.oracle is not None
        return view.oracle() or Action(message="")

    config = EvalConfig(tasks=20)
    large = sum(task.payload["size"] == 1000 for task in chosen(GUESS, config))
    assert 0 < large < 20
    report = play(ScriptedAgent(rule, wants_oracle=True), config)
    assert (report.episodes, report.tasks) == (20 + 2 * large, 20), "a broken rollout is retried twice"
    assert report.invalid == 3 * large
    assert report.failures == {"model": 3 * large}
    assert report.stops == {"terminated": 20 - large, "invalid": 3 * large}
    assert (report.success.mean, report.success.clusters) == (1.0, 20 - large)
    assert report.checks == {"guess.found": CheckRate(20 - large, 20 - large)}


def test_where_everything_broke_there_is_no_success_to_report() -> None:
    def rule(view: View) -> Action:
        raise ModelFailed("the server is gone")

    journal = MemoryJournal()
    report = play(ScriptedAgent(rule), EvalConfig(tasks=2), journal=journal)
    assert (report.success.mean, report.success.low, report.success.high) == (None, None, None)
    assert (report.pass_at, report.checks, report.cost_per_success) == ({}, {}, None)
    assert journal.metrics(0) == {"episodes": 6.0}, "no success is not a success of 0"


class Hired:
    """Does nothing, and wants a dollar for it."""

    trainable = False
    wants_oracle = False

    async def act(self, view: View) -> Move:
        return Move(Action(message="..."), cost=Cost(usd=1.0))


def test_episodes_that_the_budget_cut_are_neither_won_nor_lost() -> None:
    report = play(Hired(), EvalConfig(tasks=10, workers=1), budget=Budget(usd=25.0))
    assert report.stops == {"max_turns": 2, "censored": 8}, "money is soft: the second episode is finished"
    assert (report.episodes, report.censored, report.invalid, report.cost["usd"]) == (10, 8, 0, 40.0)
    assert (report.success.mean, report.success.clusters) == (0.0, 2)
    assert report.checks == {"guess.found": CheckRate(0, 2)}


def test_a_trajectory_budget_plays_a_random_sample_of_the_tasks_in_full() -> None:
    report = play(make_agent("oracle"), EvalConfig(tasks=10, attempts=3), budget=Budget(trajectories=14))
    assert (report.planned, report.tasks, report.episodes, report.censored) == (10, 4, 12, 0)
    assert report.missing == 0


# Limits of an episode.


@pytest.mark.parametrize(
    ("limits", "stop", "turns"),
    [
        (EpisodeLimits(turns=3), "max_turns", 3),
        (EpisodeLimits(usd=2.5), "limit", 3),
        (EpisodeLimits(usd=1.0, turns=7), "limit", 1),
        (EpisodeLimits(turns=400), "max_turns", 20),
    ],
)
def test_an_episode_ends_at_its_limit_and_counts(limits: EpisodeLimits, stop: str, turns: int) -> None:
    report = play(Hired(), EvalConfig(tasks=4, limits=limits))
    assert report.stops == {stop: 4}
    assert (report.turns_per_episode, report.success.mean, report.missing) == (turns, 0.0, 0)


class Slow(Hired):
    """Takes two seconds for nothing, it says."""

    async def act(self, view: View) -> Move:
        return Move(Action(message="..."), cost=Cost(model_seconds=2.0))


def test_an_episode_ends_when_its_time_is_up() -> None:
    report = play(Slow(), EvalConfig(tasks=2, limits=EpisodeLimits(seconds=5.0)))
    assert (report.stops, report.turns_per_episode) == ({"limit": 2}, 3.0)


def test_the_last_turn_may_sample_what_the_episode_has_left() -> None:
    agent = ScriptedAgent(lambda view: Action(message="a message of many words"), trainable=True)
    report = play(agent, EvalConfig(tasks=3, turn_tokens=8, limits=EpisodeLimits(tokens=20)))
    assert (report.stops, report.turns_per_episode) == ({"limit": 3}, 3.0)
    assert report.cost["decoded"] == 60
    assert sorted({view.max_tokens for view in agent.views}) == [4, 8]


@pytest.mark.parametrize("wrong", [{"turns": 0}, {"tokens": -1}, {"seconds": math.inf}, {"usd": 0.0}])
def test_limits_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadConfig, match="an episode's limit of"):
        EpisodeLimits(**wrong)  # type: ignore[arg-type]


# Several suites at once.


def test_parts_have_attempts_limits_and_weights_of_their_own() -> None:
    compact = Part(suite("wikihop_compact"), attempts=2, tasks=3, weight=3.0)
    report = play(make_agent("noop"), EvalConfig(tasks=4), suites=[GUESS, compact])
    assert report.episodes == 4 + 2 * 3
    assert {name for name in report.by if ":" not in name} == {"guess", "wikihop_compact"}
    assert report.score is not None
    assert report.score.mean == 0.0
    plan = planned([Part(GUESS, limits=EpisodeLimits(turns=2)), compact], EvalConfig(tasks=4))
    assert [each.task.limits.max_turns for each in plan[:4]] == [2, 2, 2, 2]
    assert [each.attempts for each in plan] == [1, 1, 1, 1, 2, 2, 2]


def test_the_score_is_the_weighted_mean_of_the_parts() -> None:
    def rule(view: View) -> Action:
        assert view.oracle is not None
        return (view.suite == "guess" and view.oracle()) or Action(message="")

    parts = [Part(GUESS, tasks=6), Part(suite("wikihop_compact"), tasks=2, weight=3.0)]
    report = play(ScriptedAgent(rule, wants_oracle=True), EvalConfig(), suites=parts)
    assert report.score is not None
    assert (report.success.mean, report.score.mean) == (pytest.approx(6 / 8), pytest.approx(1 / 4))


# What a report says about a forest made by hand.


def made(task: Task, *ends: tuple[StopReason, tuple[Verdict, ...]], step_cost: float = 0.0) -> RolloutTree:
    """A tree of one-turn rollouts that ended so."""
    tree = RolloutTree.planted(0, task)
    for stop, verdicts in ends:
        number = tree.start(grant=len(tree.rollouts), anchor=0)
        tree.append(
            Turn(
                parent=0,
                rollout=number,
                actor=Actor.AGENT,
                observation="",
                verdicts=verdicts,
                action=Action(message="."),
                terminated=stop is StopReason.TERMINATED,
                digest="d",
                cost=Cost(steps=1, usd=step_cost),
            )
        )
        tree.stop(number, stop, failure=FailureCause.SANDBOX if stop is StopReason.INVALID else None)
    return tree


def task(name: str, of: str, subset: str = "") -> Task:
    return Task(name, of, Split.TEST, name, subset=subset)


def found(*statuses: Status) -> tuple[Verdict, ...]:
    """Verdicts a, b, ...; the first alone is required."""
    return tuple(
        Verdict(name, status, float(status is Status.PASS), "", required=name == "a")
        for name, status in zip("ab", statuses, strict=False)
    )


WON, LOST = found(Status.PASS), found(Status.FAIL)
ENDED, BROKE, CUT = StopReason.TERMINATED, StopReason.INVALID, StopReason.CENSORED


def test_success_is_told_by_suite_and_by_subset() -> None:
    forest = Forest(
        0,
        [
            made(task("1", "x", "easy"), (ENDED, WON), (ENDED, WON)),
            made(task("2", "x", "hard"), (ENDED, WON), (ENDED, LOST)),
            made(task("3", "x", "hard"), (ENDED, LOST), (BROKE, WON)),
            made(task("1", "y"), (ENDED, LOST), (CUT, WON)),
        ],
    )
    report = summarise(forest, attempts=2)
    assert {name: interval.mean for name, interval in report.by.items()} == {
        "x": 0.5,
        "x:easy": 1.0,
        "x:hard": 0.25,
        "y": 0.0,
    }
    assert report.success.mean == pytest.approx((1 + 1 / 2 + 0 + 0) / 4), "tasks weigh the same"
    assert report.success.clusters == 4
    assert {k: found.mean for k, found in report.pass_at.items()} == {1: pytest.approx(1.5 / 4), 2: 1.0}
    assert report.pass_at[2].clusters == 2, "pass@2 is of the tasks with two attempts"
    assert report.pass_all[2].mean == 0.5
    assert report.possible == (pytest.approx((1 + 0.5 + 0 + 0) / 4), pytest.approx((1 + 0.5 + 0.5 + 0.5) / 4))
    assert report.missing == 2
    assert (report.episodes, report.tasks, report.invalid, report.censored) == (8, 4, 1, 1)
    assert report.failures == {"sandbox": 1}


def test_the_table_of_checks_counts_findings_only() -> None:
    forest = Forest(
        0,
        [
            made(task("1", "x"), (ENDED, found(Status.PASS, Status.FAIL))),
            made(task("2", "x"), (ENDED, found(Status.FAIL, Status.SKIPPED))),
            made(task("3", "x"), (ENDED, found(Status.PASS, Status.ERROR))),
            made(task("4", "x"), (ENDED, found(Status.ERROR, Status.PASS))),
            made(task("5", "x"), (BROKE, found(Status.PASS, Status.PASS))),
            made(task("6", "y"), (ENDED, found(Status.PASS))),
        ],
    )
    report = summarise(forest, attempts=1)
    assert report.checks == {
        "x.a": CheckRate(2, 3),
        "x.b": CheckRate(0, 1),
        "y.a": CheckRate(1, 1),
    }, "an episode whose required check has no finding is not scored"
    assert report.success.mean == pytest.approx(3 / 4)


def test_cost_per_success_spreads_all_that_was_spent_over_the_wins() -> None:
    trees = [
        made(task("1", "x"), (ENDED, WON), (ENDED, WON), step_cost=0.5),
        made(task("2", "x"), (ENDED, LOST), (BROKE, ()), step_cost=1.0),
    ]
    report = summarise(Forest(0, trees), attempts=2)
    assert (report.cost["usd"], report.cost["steps"]) == (3.0, 4.0)
    assert report.cost_per_success is not None
    assert (report.cost_per_success["usd"].mean, report.cost_per_success["steps"].mean) == (1.5, 2.0)
    assert report.turns_per_episode == 1.0


def test_rollouts_without_a_turn_are_censored_not_lost() -> None:
    tree = RolloutTree.planted(0, task("1", "x"))
    tree.rollouts.append(Rollout(0, 0, 0, CUT))
    report = summarise(Forest(0, [tree]), attempts=1)
    assert (report.episodes, report.censored, report.success.mean) == (1, 1, None)
    assert (report.cost["trajectories"], report.turns_per_episode) == (0, 0.0)


# Resuming.

CONFIG = EvalConfig(tasks=4, attempts=2, workers=1)


def facts(report: Report) -> dict[str, object]:
    """What must not depend on where an evaluation was interrupted: all but seconds."""
    told = report.json()
    for costs in (told["cost"], told["cost_per_success"]):
        costs.pop("env_seconds")
        costs.pop("model_seconds")
    return told


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.98])
def test_a_half_finished_evaluation_is_finished(share: float, tmp_path: Path) -> None:
    counting = CrashingJournal(MemoryJournal())
    whole = facts(play(make_agent("oracle"), CONFIG, journal=counting))
    with Store.create(tmp_path / "run", kind="eval", config={}) as store, pytest.raises(Crashed):
        play(
            make_agent("oracle"),
            CONFIG,
            journal=CrashingJournal(store, at=math.ceil(share * counting.calls)),
        )
    with Store.open(tmp_path / "run") as store:
        assert store.steps()[0].closed_at is None
        assert facts(play(make_agent("oracle"), CONFIG, journal=store)) == whole
        assert store.steps()[0].closed_at is not None
        assert store.metrics(0) == {"success": 1.0, "episodes": 8.0}


def test_a_finished_evaluation_plays_nothing_again() -> None:
    journal = MemoryJournal()
    whole = play(make_agent("oracle"), CONFIG, journal=journal)
    idle = ScriptedAgent.playing([Action(message="I was not to be asked.")])
    assert play(idle, CONFIG, journal=journal) == whole
    assert idle.views == []
