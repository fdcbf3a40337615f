"""What a run keeps beside its journal, and what can be asked of it."""

import json
import math
from io import StringIO
from pathlib import Path

import pytest

from trace_gym.core.budget import FREE
from trace_gym.core.errors import BadConfig
from trace_gym.core.policy import Checkpoint
from trace_gym.core.tree import Forest
from trace_gym.store import Store
from trace_gym.testing import grow_forest, grow_tree, record_forest


def make(folder: Path, **config: object) -> Store:
    return Store.create(folder, kind="train", config=config, clock=lambda: 1234.5)


def test_log_and_held_out_access_keep_their_order(tmp_path: Path) -> None:
    with make(tmp_path / "a") as store:
        store.log("warning", "a lone \ud800 surrogate")
        store.log("info", "second")
        store.record_access("guess", ["guess/1", "guess/2"], purpose="evaluation after 0 steps")
        assert [(line.at, line.level, line.message) for line in store.log_lines()] == [
            (1234.5, "warning", "a lone \ud800 surrogate"),
            (1234.5, "info", "second"),
        ]
        (access,) = store.accesses()
        assert (access.suite, access.tasks) == ("guess", ("guess/1", "guess/2"))
        assert access.purpose == "evaluation after 0 steps"


def test_metrics_of_a_step_add_up_and_are_replaced_by_name(tmp_path: Path) -> None:
    with make(tmp_path / "a") as store:
        record_forest(store, grow_forest(["0 1 +"]))
        store.close_step(0, {"loss": 0.1, "ratio": float("inf"), "brier": float("nan")})
        store.record_metrics(0, {"loss": 0.25, "suites": {"guess": [1, 2]}})
        found = store.metrics(0)
        assert math.isnan(found.pop("brier"))
        assert found == {"loss": 0.25, "ratio": float("inf"), "suites": {"guess": [1, 2]}}
        assert store.metrics(7) == {}


def test_checkpoints_move_with_their_run(tmp_path: Path) -> None:
    with make(tmp_path / "a") as store:
        store.record_checkpoint(Checkpoint(tmp_path / "a" / "checkpoints" / "step-0", 1), step=0)
        store.record_checkpoint(Checkpoint(tmp_path / "elsewhere", 2), step=1)
        store.record_checkpoint(Checkpoint(tmp_path / "a" / "checkpoints" / "again", 2), step=1)
        store.record_checkpoint(Checkpoint(tmp_path / "elsewhere", 3), step=2)
    (tmp_path / "a").rename(tmp_path / "b")
    with Store.open(tmp_path / "b") as store:
        assert store.checkpoints() == [
            (0, Checkpoint(tmp_path / "b" / "checkpoints" / "step-0", 1)),
            (1, Checkpoint(tmp_path / "b" / "checkpoints" / "again", 2)),
            (2, Checkpoint(tmp_path / "elsewhere", 3)),
        ]


def test_a_relative_run_folder_knows_its_own_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with make(Path("a")) as store:
        store.record_checkpoint(Checkpoint(tmp_path / "a" / "c", 1), step=0)
    (tmp_path / "a").rename(tmp_path / "b")
    with Store.open("b") as store:
        assert store.checkpoints() == [(0, Checkpoint(Path("b/c"), 1))]


def test_steps_are_open_until_closed(tmp_path: Path) -> None:
    with make(tmp_path / "a") as store:
        record_forest(store, grow_forest(["0 1 +"]))
        record_forest(store, grow_forest(["0 1 ."], step=1))
        store.close_step(0, {})
        assert [(entry.step, entry.closed_at) for entry in store.steps()] == [(0, 1234.5), (1, None)]
        assert store.forest(2).trees == []
        with pytest.raises(BadConfig, match="no tree 4"):
            store.tree(0, 4)


def test_the_ledger_counts_as_the_trees_do(tmp_path: Path) -> None:
    lines = ("0 3 2 +", "0 4 -", "1 2 ?", "1 5 !", "0 x", "1 2 2 .", "3 6 >")
    with make(tmp_path / "a") as store:
        assert store.cost() == FREE
        record_forest(store, grow_forest(lines, step=0))
        record_forest(store, grow_forest(lines[:2], step=4))
        assert store.ledger() == {step: store.forest(step).cost for step in (0, 4)}
        assert store.ledger()[0].trajectories == 4
        assert store.cost() == store.forest(0).cost + store.forest(4).cost


def test_every_ended_rollout_is_exported_as_one_line(tmp_path: Path) -> None:
    tree = grow_tree("0 3 2 +", "0 4 -", "1 2 !", "0 1 .")
    with make(tmp_path / "a") as store:
        record_forest(store, Forest(2, [tree]))
        stream = StringIO()
        assert store.export_jsonl(stream) == 3
        assert store.export_jsonl(StringIO(), step=1) == 0
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["step"], line["rollout"], line["success"], line["stop"]) for line in lines] == [
        (2, 0, True, "terminated"),
        (2, 1, False, "terminated"),
        (2, 2, None, "invalid"),
    ]
    forked = lines[2]
    assert (forked["anchor"], [turn["node"] for turn in forked["turns"]]) == (1, [0, 1, 4])
    assert forked["failure"] == "environment"
    last = forked["turns"][-1]
    assert last["action_ids"] == tree.turns[4].action_ids.tolist()
    assert last["logprobs"] == tree.turns[4].logprobs.tolist()
    assert last["action"] == {"calls": [{"name": "go", "arguments": {"to": 4}}]}
    assert forked["cost"]["decoded"] == 5
    assert forked["task"] == {
        "key": "toy/t0",
        "suite": "toy",
        "split": "train",
        "family": "f0",
        "subset": "",
        "seed": 0,
    }
