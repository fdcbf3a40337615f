"""What the page of time is told adds up to what was played; pictures are kept where they are asked for."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from trace_gym.core.errors import BadConfig
from trace_gym.environment.picture import SIGNATURE
from trace_gym.store import FILE, Store
from trace_gym.view.app import make_app
from trace_gym.view.export import export
from trace_gym.view.runfile import RunFile
from trace_gym.view.timeline import picture, seen, timeline


def test_every_turn_is_told_once_with_the_worker_that_played_it(runs: Path) -> None:
    told = timeline(RunFile(runs / "one"), 0)
    with Store.open(runs / "one", read_only=True) as store:
        trees = {tree.index: tree for tree in store.forest(0).trees}
    played = {(t.index, node) for t in trees.values() for node in range(1, len(t.turns))}
    assert sorted((row[6], row[7]) for row in told["turns"]) == sorted(played)
    assert 1 <= len(told["workers"]) <= 4
    assert sum(row["turns"] for row in told["workers"]) == len(played)
    for worker, row in enumerate(told["workers"]):
        mine = sorted(turn for turn in told["turns"] if turn[0] == worker)
        assert row["environment"] == pytest.approx(sum(t[2] + t[5] for t in mine), abs=1e-3)
        ends = [began + sum(parts[:4]) for _, began, *parts in mine]
        starts = [began for _, began, *_ in mine]
        late = [start - end for end, start in zip(ends, starts[1:], strict=False)]
        assert all(gap > -0.05 for gap in late), "a worker plays one turn at a time"
    assert min(turn[1] for turn in told["turns"]) >= 0
    for *_, tree, _, _, task in told["turns"]:
        assert told["tasks"][task] == trees[tree].task.key


def test_the_newest_step_is_told_by_default_and_others_by_number(runs: Path) -> None:
    run = RunFile(runs / "one")
    assert timeline(run)["step"] == 1
    assert timeline(run)["steps"] == [0, 1]
    with pytest.raises(BadConfig, match="noted no turns of step 9"):
        timeline(run, 9)


def test_a_run_of_an_older_version_opens_and_says_what_it_lacks(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "one", tmp_path / "older")
    with closing(sqlite3.connect(tmp_path / "older" / FILE)) as sql:
        sql.executescript("DROP TABLE spans; DROP TABLE pictures; PRAGMA user_version = 1")
    run = RunFile(tmp_path / "older")
    assert timeline(run)["steps"] == []
    assert seen(run, 0, 0, 1) == {"span": None, "picture": False}
    with pytest.raises(BadConfig, match="no picture"):
        picture(run, 0, 0, 1)


def test_screenshots_are_kept_where_they_were_asked_for(runs: Path, drawn: Path, tmp_path: Path) -> None:
    run = RunFile(drawn / "drawn")
    assert picture(run, 0, 0, 0) != picture(run, 0, 0, 1), "the root has one of its own"
    assert picture(run, 0, 0, 1).startswith(SIGNATURE)
    assert seen(run, 0, 0, 1)["picture"]
    assert not seen(RunFile(runs / "one"), 0, 0, 1)["picture"]
    with TestClient(make_app(drawn)) as client:
        found = client.get("/api/picture", params={"run": "drawn", "step": 0, "tree": 0, "node": 1})
        assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
        assert found.content == picture(run, 0, 0, 1)
        lost = client.get("/api/picture", params={"run": "drawn", "step": 0, "tree": 0, "node": 999})
        assert (lost.status_code, "no picture" in lost.json()["error"]) == (404, True)
        told = client.get("/api/turn", params={"run": "drawn", "step": 0, "tree": 0, "node": 1}).json()
        assert told["span"]["worker"].startswith("env-")
    export(run, tmp_path / "report.html")
    assert "data:image/png;base64," in (tmp_path / "report.html").read_text()
