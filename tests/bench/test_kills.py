"""The kill drill, a small one: a run that was killed and resumed is intact, and what is not is noticed."""

from __future__ import annotations

import json
import shutil
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from trace_gym.bench.endpoint import Endpoint, answer
from trace_gym.bench.intact import changed, committed, differing, unsound
from trace_gym.bench.kills import CELLS, Cell, run
from trace_gym.core.tree import Forest
from trace_gym.store import FILE, RunStatus, Store
from trace_gym.testing import grow_forest, record_forest


@pytest.mark.slow
@pytest.mark.needs("bwrap")
def test_killed_evaluations_end_as_if_they_had_not_been_killed() -> None:
    cells = [Cell("eval", "bwrap", "scripted"), Cell("eval", "none", "chat")]
    drills = list(run(kills=4, seed=1, cells=cells, longest_s=1.0))
    assert [drill.cell for drill in drills] == [cell.name for cell in cells]
    assert sum(drill.kills for drill in drills) == 4
    assert [drill.faults for drill in drills] == [[], []]
    assert all(drill.turns > 100 for drill in drills)
    assert drills[1].asked is not None


def test_every_sandbox_is_killed_with_every_policy_and_trained_in() -> None:
    assert len({cell.name for cell in CELLS}) == 12
    assert {cell.sandbox for cell in CELLS if cell.job == "train"} == {"none", "bwrap", "docker"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "run", kind="eval", config={}) as store:
        record_forest(store, Forest(0, grow_forest(["0 3 +", "0 2 -"]).trees))
    return tmp_path / "run"


def test_what_changed_after_it_was_committed_is_noticed(folder: Path) -> None:
    before = committed(folder)
    assert changed(before, committed(folder)) == []
    with closing(sqlite3.connect(folder / FILE)) as sql:
        sql.execute("UPDATE turns SET text = 'sampled again' WHERE node = 2")
        sql.execute("DELETE FROM grants WHERE number = 0")
        sql.commit()
    told = changed(before, committed(folder))
    assert ["changed" in fault for fault in told].count(True) == 1
    assert any("grant" in fault and "gone" in fault for fault in told)


def test_a_run_that_is_not_whole_is_noticed(folder: Path, tmp_path: Path) -> None:
    with Store.open(folder) as store:
        assert unsound(store) == ["the run says running", "step 0 was not closed"]
        store.close_step(0, {})
        store.set_status(RunStatus.FINISHED)
        told = unsound(store)
    assert any("settled" in fault for fault in told), "no event settles its grants"
    assert not any("ledger" in fault for fault in told)
    shutil.copytree(folder, tmp_path / "other")
    with closing(sqlite3.connect(tmp_path / "other" / FILE)) as sql:
        sql.execute("UPDATE turns SET observation = 'another' WHERE node = 2")
        sql.commit()
    with Store.open(folder, read_only=True) as one, Store.open(tmp_path / "other", read_only=True) as other:
        assert differing(one, one) == []
        assert differing(one, other) == ["step 0: something else was played"]


def test_the_endpoint_answers_the_same_to_the_same() -> None:
    tool = {"function": {"name": "add", "parameters": {"properties": {"number": {"type": "integer"}}}}}
    body = {"messages": [{"role": "user", "content": "Reach 5."}], "seed": 3, "tools": [tool]}
    with Endpoint() as endpoint:
        asked = urllib.request.Request(f"{endpoint.address}/chat/completions", json.dumps(body).encode())
        found = [json.load(urllib.request.urlopen(asked, timeout=10)) for _ in range(2)]
        assert endpoint.asked == 2
    assert found == [answer(body)] * 2
    call = found[0]["choices"][0]["message"]["tool_calls"][0]["function"]
    assert call["name"] == "add"
    assert 1 <= json.loads(call["arguments"])["number"] <= 9
