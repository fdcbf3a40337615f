"""What the pages are told is what the run holds, as the store itself reads it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trace_gym.core.check import Status, Verdict
from trace_gym.core.episode import StopReason
from trace_gym.core.errors import BadConfig, RunFolderError
from trace_gym.core.tree import Forest
from trace_gym.store import Store, episode_record
from trace_gym.testing import grow_tree, record_forest
from trace_gym.view import questions
from trace_gym.view.runfile import RunFile


@pytest.fixture
def run(runs):
    return RunFile(runs / "one")


@pytest.fixture(scope="module")
def forests(runs):
    with Store.open(runs / "one", read_only=True) as store:
        return [store.forest(step) for step in range(2)]


def test_every_tree_is_told_with_its_success(run, forests):
    told = {(row["step"], row["tree"]): row for row in questions.tasks(run)["rows"]}
    played = {(forest.step, tree.index): tree for forest in forests for tree in forest.trees}
    assert set(told) == set(played)
    for place, tree in played.items():
        outcomes = [tree.outcome(number) for number in range(len(tree.rollouts))]
        scored = [outcome for outcome in outcomes if outcome is not None]
        assert told[place]["rollouts"] == len(tree.rollouts)
        assert told[place]["forks"] == sum(rollout.anchor > 0 for rollout in tree.rollouts)
        assert told[place]["success"] == pytest.approx(np.mean(scored))


def test_every_way_to_end_is_told_as_the_store_counts_it(tmp_path):
    trees = [grow_tree(*(f"0 2 {mark}" for mark in "+->#$/*?x!"), index=0)]
    with Store.create(tmp_path / "ends", kind="eval", config={}) as store:
        record_forest(store, Forest(0, trees))
        kept = store.tree(0, 0)
        told = questions.tree(RunFile(tmp_path / "ends"), 0, 0)
        ends = {record["stop"] for record in map(episode_record, store.episodes())}
    assert ends == {str(reason) for reason in StopReason}
    assert {rollout["stop"] for rollout in told["rollouts"]} == ends
    assert [rollout["success"] for rollout in told["rollouts"]] == [
        kept.outcome(number) for number in range(len(kept.rollouts))
    ]
    (row,) = questions.tasks(RunFile(tmp_path / "ends"))["rows"]
    assert (row["scored"], row["successes"], row["invalid"]) == (6, 1, 1)


def test_a_check_without_a_finding_is_no_failure(tmp_path):
    tree = grow_tree("0 2 +", "0 2 $", index=0)
    odd = (Verdict("reached", Status.ERROR, 0.0, "the judge is gone"),)
    for rollout in tree.rollouts:
        tree.turns[rollout.tip] = replace(tree.turns[rollout.tip], verdicts=odd)
    with Store.create(tmp_path / "odd", kind="eval", config={}) as store:
        record_forest(store, Forest(0, [tree]))
    told = questions.tree(RunFile(tmp_path / "odd"), 0, 0)
    assert [rollout["success"] for rollout in told["rollouts"]] == [None, False]
    (row,) = questions.tasks(RunFile(tmp_path / "odd"))["rows"]
    assert (row["scored"], row["successes"]) == (1, 0)


def test_rows_are_filtered_sorted_and_searched(run):
    everything = questions.tasks(run)["rows"]
    for outcome, fits in {
        "mixed": lambda s: 0 < s < 1,
        "solved": lambda s: s == 1,
        "failed": lambda s: s == 0,
    }.items():
        found = questions.tasks(run, outcome=outcome)["rows"]
        assert [row for row in everything if fits(row["success"])] == found
    down = [row["success"] for row in questions.tasks(run, sort="success", down=True)["rows"]]
    assert down == sorted(down, reverse=True)
    name = everything[0]["task"].rpartition("/")[2]
    assert {row["task"] for row in questions.tasks(run, search=name.upper())["rows"]} == {f"guess/{name}"}
    assert questions.tasks(run, page=5)["rows"] == []
    assert questions.tasks(run, step=1)["total"] == len([row for row in everything if row["step"] == 1])


def test_a_tree_has_its_nodes_verdicts_grants_and_predictions(run, forests):
    tree = max(forests[1].trees, key=lambda tree: len(tree.rollouts))
    told = questions.tree(run, 1, tree.index)
    assert [node["parent"] for node in told["nodes"][1:]] == [turn.parent for turn in tree.turns[1:]]
    for node, turn in zip(told["nodes"], tree.turns, strict=True):
        assert [(name, status) for name, status, *_ in node["verdicts"]] == [
            (v.name, v.status) for v in turn.verdicts
        ]
    outcomes = [tree.outcome(number) for number in range(len(tree.rollouts))]
    assert [rollout["success"] for rollout in told["rollouts"]] == [
        None if outcome is None else bool(outcome) for outcome in outcomes
    ]
    assert {rollout["granted"] for rollout in told["rollouts"]} <= {
        grant["number"] for grant in told["grants"]
    }
    assert all(grant["reason"] for grant in told["grants"])
    inner = [node for node in told["nodes"][1:] if not node["terminated"]]
    assert all(0 <= node["predicted"] <= 1 for node in inner if node["predicted"] is not None)
    assert any(node["predicted"] is not None for node in inner)


def test_a_turn_is_told_in_full(run, forests):
    tree = forests[0].trees[0]
    turn = tree.turns[1]
    told = questions.turn(run, 0, tree.index, 1)
    assert told["observation"] == turn.observation
    assert told["action"] == turn.action.json()
    assert [verdict["evidence"] for verdict in told["verdicts"]] == [v.evidence for v in turn.verdicts]
    assert told["tokens"] == {"ids": [], "logprobs": [], "entropy": []}


def test_what_is_not_there_is_said(run, runs):
    with pytest.raises(BadConfig, match="no tree 99 in step 0"):
        questions.tree(run, 0, 99)
    with pytest.raises(BadConfig, match="no turn 999"):
        questions.turn(run, 0, questions.tasks(run)["rows"][0]["tree"], 999)
    with pytest.raises(RunFolderError):
        RunFile(runs)


def test_the_budget_adds_up(run, forests):
    rows = run.spending()["rows"]
    assert sum(row["rollouts"] for row in rows) == sum(len(t.rollouts) for f in forests for t in f.trees)
    seconds = sum(row["env_seconds"] for row in rows)
    assert seconds == pytest.approx(sum(forest.cost.env_seconds for forest in forests))
    assert {row["fork"] for row in rows} == {True, False}


def test_a_long_run_is_thinned_to_what_a_curve_can_show(runs, tmp_path):
    with Store.create(tmp_path / "long", kind="train", config={}) as store:
        for step in range(700):
            store.record_metrics(step, {"x": float(step), "tokens_sampled": 2.0})
    told = RunFile(tmp_path / "long").overview()
    assert told["stride"] == 3
    steps = [step for step, _ in told["series"]["x"]]
    assert (steps[0], steps[1], steps[-1], len(steps)) == (0, 3, 699, 234)
    assert told["tokens_sampled"] == 1400.0


def test_runs_are_compared_task_by_task(runs, run):
    other = RunFile(runs / "deeper" / "two")
    told = questions.compare(run, other)
    assert told["shared"] == len(told["rows"]) > 0
    changes = [abs(row["change"]) for row in told["rows"]]
    assert changes == sorted(changes, reverse=True)
    assert told["mean"][0] == pytest.approx(np.mean([row["one"] for row in told["rows"]]))
    itself = questions.compare(run, run)
    assert itself["flipped"] == 0
    assert itself["mean"][0] == itself["mean"][1]


def test_it_cannot_write(run):
    with run.reading() as sql, pytest.raises(sqlite3.OperationalError, match="readonly"):
        sql.execute("DELETE FROM log")


class Listened(RunFile):
    """A run that notes how its queries are answered."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.plans: list[str] = []

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        said: list[str] = []
        with super().reading() as sql:
            sql.set_trace_callback(said.append)
            yield sql
            sql.set_trace_callback(None)
            for query in said:
                self.plans += [row["detail"] for row in sql.execute(f"EXPLAIN QUERY PLAN {query}")]


def test_a_tree_is_found_without_a_look_at_the_others_of_its_step(runs: Path) -> None:
    """A step may hold a hundred thousand rollouts, and the page asks for a tree at every key."""
    run = Listened(runs / "one")
    index = questions.tasks(run)["rows"][0]["tree"]
    run.plans.clear()
    found = questions.tree(run, 0, index)
    questions.turn(run, 0, index, 1)
    assert found["grants"]
    assert any(node["predicted"] is not None for node in found["nodes"])
    looked = [plan for plan in run.plans if plan.startswith(("SCAN", "SEARCH"))]
    assert len(looked) > 6
    assert not [plan for plan in looked if plan.startswith("SCAN") or plan.endswith("(step=?)")]
