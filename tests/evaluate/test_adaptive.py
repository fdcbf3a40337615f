"""The adaptive scheduler in real evaluations: what it grants, where it stops, and that it can be resumed."""

import asyncio
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from trace_gym.core.action import Action
from trace_gym.core.agent import Move, View
from trace_gym.core.budget import Budget, Cost
from trace_gym.core.errors import BadConfig, ModelFailed
from trace_gym.core.journal import Journal
from trace_gym.environment.registry import suite
from trace_gym.evaluate import (
    AdaptiveConfig,
    EpisodeLimits,
    EvalConfig,
    Part,
    Report,
    evaluate_adaptively,
)
from trace_gym.statistics import NOTHING
from trace_gym.store import Store
from trace_gym.testing import Crashed, CrashingJournal, MemoryJournal

COIN = suite(f"{Path(__file__).with_name('coin.py')}:Coin")
TRUTH = (0.5 + 2) / 6


class Drawing:
    """Draws as the seed says, for ten tokens; its model fails at tasks whose names begin with `broken`."""

    trainable = False
    wants_oracle = False

    def __init__(self, broken: str = "none") -> None:
        self.broken = broken

    async def act(self, view: View) -> Move:
        if f"Task {self.broken}" in view.turns[0].observation:
            raise ModelFailed("the server is gone")
        number = int(np.random.default_rng(view.seed).integers(100))
        return Move(Action.call("draw", number=number), cost=Cost(decoded=10))


def play(
    adaptive: AdaptiveConfig,
    *,
    budget: Budget | None = None,
    journal: Journal | None = None,
    agent: Drawing | None = None,
    workers: int = 8,
) -> Report:
    playing = evaluate_adaptively(
        [COIN],
        agent or Drawing(),
        adaptive=adaptive,
        config=EvalConfig(workers=workers),
        budget=budget,
        journal=journal,
    )
    return asyncio.run(playing)


def attempts(journal: MemoryJournal) -> dict[str, int]:
    """Rollouts by a task's share of winning numbers."""
    known = journal.recover(0)
    assert known is not None
    counts: dict[str, int] = defaultdict(int)
    for tree in known.trees.values():
        counts[tree.task.id.partition("-")[2]] += len(tree.rollouts)
    return counts


def test_attempts_go_where_the_noise_is_and_the_estimate_is_right() -> None:
    journal = MemoryJournal()
    report = play(AdaptiveConfig(), budget=Budget(trajectories=600), journal=journal)
    assert report.episodes == 600
    spent = attempts(journal)
    assert spent["50"] / 5 > 3 * spent["0"] / 15, "per task, three times as many where it is open"
    assert report.success.low is not None
    assert report.success.high is not None
    assert report.success.low <= TRUTH <= report.success.high
    assert report.success.unit == "attempt"
    facts = report.adaptive
    assert facts is not None
    assert (facts["unit"], facts["spent"], facts["attempts"]) == ("tokens", 6000.0, 600.0)
    assert facts["uniform_would_spend"] > 1.5 * facts["spent"] > 1.5 * facts["best_would_spend"] * 0.99
    assert (report.pass_at, report.checks, report.survival) == ({}, {}, ())
    assert (report.turns_per_episode, report.cost_per_success) == (None, None), "of a biased sample"


def test_every_round_is_journalled_with_what_it_expected() -> None:
    journal = MemoryJournal()
    play(AdaptiveConfig(), budget=Budget(trajectories=240), journal=journal)
    known = journal.recover(0)
    assert known is not None
    assert {grant.propensity for grant in known.grants} == {2.0}
    later = [grant for _, answer in known.events for grant in answer]
    assert {grant.reason.partition(":")[0] for grant in later} == {f"round {n}" for n in range(2, 6)}  # type: ignore[union-attr]
    assert all(abs(grant.count - grant.propensity) < 1 for grant in later)  # type: ignore[union-attr]


def test_it_stops_at_the_width_it_was_asked_for() -> None:
    report = play(AdaptiveConfig(half_width=0.03))
    facts = report.adaptive
    assert facts is not None
    assert facts["half_width"] <= 0.03
    wide = play(AdaptiveConfig(half_width=0.08))
    assert wide.episodes < report.episodes < 1000


@pytest.mark.parametrize(
    ("limits", "unit", "most"),
    [({"tokens": 4000}, "tokens", 4000), ({"trajectories": 333}, "trajectories", 333)],
)
def test_the_budget_is_used_and_nothing_is_cut_by_it(limits: dict[str, int], unit: str, most: int) -> None:
    report = play(AdaptiveConfig(), budget=Budget(**limits))  # type: ignore[arg-type]
    spent = report.cost["decoded"] if unit == "tokens" else report.episodes
    assert 0.8 * most < spent <= most
    assert (report.censored, report.missing) == (0, 0)


def test_an_earlier_run_steers_from_the_first_round_on() -> None:
    prior = {task.key: (16 * task.payload["share"] / 100, 16.0) for task in COIN.tasks(EvalConfig().split)}
    journal = MemoryJournal()
    report = play(AdaptiveConfig(prior=prior), budget=Budget(trajectories=120), journal=journal)
    spent = attempts(journal)
    assert spent["50"] / 5 > 4 * (spent["0"] + spent["100"]) / 25
    assert report.success.low is not None
    assert report.success.high is not None
    assert report.success.low <= TRUTH <= report.success.high


def test_an_earlier_run_that_is_wrong_misleads_nobody() -> None:
    wrong = {
        task.key: (8.0, 16.0) if "50" not in task.id else (0.0, 16.0)
        for task in COIN.tasks(EvalConfig().split)
    }
    found = [
        play(AdaptiveConfig(prior=wrong), budget=Budget(trajectories=400)),
        play(AdaptiveConfig(prior={}), budget=Budget(trajectories=400)),
    ]
    for report in found:
        assert report.success.low is not None
        assert report.success.high is not None
        assert report.success.low <= TRUTH <= report.success.high


def test_broken_attempts_are_no_outcomes() -> None:
    report = play(AdaptiveConfig(), budget=Budget(trajectories=200), agent=Drawing(broken="3-50"))
    assert report.invalid > 0
    assert report.failures == {"model": report.invalid}
    assert report.success.mean is not None


def test_an_estimate_is_carried_by_its_own_attempts_with_an_outcome() -> None:
    """Those of a suite carry what is said of it, and what broke carries nothing."""
    playing = evaluate_adaptively(
        [COIN, suite("guess")],
        Drawing(broken="3-50"),
        adaptive=AdaptiveConfig(),
        config=EvalConfig(tasks=30, limits=EpisodeLimits(turns=2)),
        budget=Budget(trajectories=240),
    )
    report = asyncio.run(playing)
    carried = {name: interval.clusters for name, interval in report.by.items()}
    assert report.invalid > 0
    assert report.adaptive is not None
    assert sum(carried.values()) == report.success.clusters == report.adaptive["attempts"]
    assert report.success.clusters == report.episodes - report.invalid
    assert min(carried.values()) >= 58, "two attempts at each of thirty tasks, one of which is broken"


def test_a_benchmark_has_its_weighted_mean() -> None:
    """Nobody guesses: of 4 to 1 the coins' mean is four fifths of it, however many tasks there are."""
    parts = [Part(COIN, weight=4.0), Part(suite("guess"), tasks=10, limits=EpisodeLimits(turns=2))]
    playing = evaluate_adaptively(
        parts, Drawing(), adaptive=AdaptiveConfig(), config=EvalConfig(), budget=Budget(trajectories=400)
    )
    report = asyncio.run(playing)
    coins, guesses = report.by["coin"].mean, report.by["guess"].mean
    assert report.score is not None
    assert report.score.mean == pytest.approx(0.8 * (coins or 0.0) + 0.2 * (guesses or 0.0))
    assert report.score.mean != pytest.approx(report.success.mean, abs=0.01)
    assert (report.score.low or 0.0) <= 0.8 * TRUTH <= (report.score.high or 0.0)
    assert play(AdaptiveConfig(), budget=Budget(trajectories=90)).score is None, "of one part there is none"


def test_what_is_broken_from_the_start_ends_without_an_estimate() -> None:
    """Neither a budget that nothing is charged to nor a width that is never reached keeps it going."""
    for width, budget in ((0.05, Budget()), (None, Budget(trajectories=90))):
        report = play(AdaptiveConfig(half_width=width), budget=budget, agent=Drawing(broken=""))
        assert report.success == NOTHING
        assert report.by == {"coin": NOTHING}
        assert report.adaptive == {"rounds": 0}
        assert (report.missing, report.possible) == (60, (0.0, 1.0))


def test_a_task_that_never_had_an_outcome_is_played_no_more_and_is_no_part_of_the_estimate() -> None:
    """Of thirty tasks one of five at one half is broken: 29 are left, 12 of them worth .5 on average."""
    journal = MemoryJournal()
    report = play(
        AdaptiveConfig(), budget=Budget(trajectories=400), journal=journal, agent=Drawing(broken="3-50")
    )
    known = journal.recover(0)
    assert known is not None
    broken = next(tree.index for tree in known.trees.values() if tree.task.id == "3-50")
    later = [grant for _, answer in known.events for grant in answer]
    assert later
    assert all(grant.anchor.tree != broken for grant in later)  # type: ignore[union-attr]
    assert (report.missing, report.possible is not None) == (2, True)
    assert report.success.low is not None
    assert report.success.high is not None
    assert report.success.low <= (30 * TRUTH - 0.5) / 29 <= report.success.high
    low, high = report.possible or (0.0, 0.0)
    assert high - low == pytest.approx(1 / 30)


def test_an_earlier_run_of_other_tasks_pays_for_no_smaller_first_round() -> None:
    with pytest.raises(BadConfig, match="the first round takes 60 trajectories"):
        play(AdaptiveConfig(prior={"elsewhere/1": (1.0, 2.0)}), budget=Budget(trajectories=59))


def test_it_must_know_when_to_stop() -> None:
    with pytest.raises(BadConfig, match="stops at a budget or at a width"):
        play(AdaptiveConfig())
    with pytest.raises(BadConfig, match="the first round takes 60 trajectories"):
        play(AdaptiveConfig(), budget=Budget(trajectories=59))
    with pytest.raises(BadConfig, match="half width"):
        AdaptiveConfig(half_width=0.7)
    with pytest.raises(BadConfig, match="at least 2 attempts"):
        AdaptiveConfig(pilot=1)
    with pytest.raises(BadConfig, match="what is to be saved"):
        AdaptiveConfig(unit="money")


@pytest.mark.parametrize("share", [0.05, 0.4, 0.8])
def test_it_is_resumed_as_if_it_had_not_been_cut(share: float, tmp_path: Path) -> None:
    def facts(report: Report) -> dict[str, object]:
        told = report.json()
        for name in ("env_seconds", "model_seconds"):
            told["cost"].pop(name)
        return told

    counting = CrashingJournal(MemoryJournal())
    budget = {"trajectories": 150}
    whole = facts(play(AdaptiveConfig(), budget=Budget(**budget), journal=counting, workers=1))  # type: ignore[arg-type]
    with Store.create(tmp_path / "run", kind="eval", config={}) as store:
        crashing = CrashingJournal(store, at=math.ceil(share * counting.calls))
        with pytest.raises(Crashed):
            play(AdaptiveConfig(), budget=Budget(**budget), journal=crashing, workers=1)  # type: ignore[arg-type]
    with Store.open(tmp_path / "run") as store:
        again = play(AdaptiveConfig(), budget=Budget(**budget), journal=store, workers=1)  # type: ignore[arg-type]
        assert facts(again) == whole
