"""`trace-gym export` as people type it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pytest

from trace_gym.store import Store

Run: TypeAlias = Callable[..., Any]


def test_every_format_is_written(run: Run) -> None:
    run("eval", "guess", "--agent", "oracle", "--tasks", "3", "--out", "one", "--json")
    run("eval", "guess", "--agent", "noop", "--tasks", "2", "--out", "none", "--json")
    lines = [json.loads(line) for line in run("export", "one").out.splitlines()]
    assert [(line["task"]["suite"], line["success"]) for line in lines] == [("guess", True)] * 3
    trajectories = [json.loads(line) for line in run("export", "one", "--format", "atif").out.splitlines()]
    assert {(t["schema_version"], t["agent"]["name"]) for t in trajectories} == {("ATIF-v1.7", "oracle")}
    told = run("export", "one", "--format", "messages", "-o", "sft.jsonl")
    assert (told.code, told.out, "3 episodes in sft.jsonl" in told.err) == (0, "", True)
    chats = [json.loads(line) for line in Path("sft.jsonl").read_text().splitlines()]
    assert chats[0]["tools"][0]["function"]["name"] == "guess"
    assert run("export", "one", "--format", "parquet", "-o", "e.parquet").code == 0
    assert duckdb.connect().execute("SELECT count(*) FROM 'e.parquet'").fetchone() == (3,)
    assert run("export", "none", "--format", "messages").out == "", "only what was solved is an example"
    assert len(run("export", "none", "--format", "messages", "--only", "all").out.splitlines()) == 2
    assert run("export", "one", "--step", "0").out.count("\n") == 3


def test_what_cannot_be_exported_is_said(run: Run) -> None:
    run("eval", "guess", "--agent", "oracle", "--tasks", "1", "--out", "one", "--json")
    Path("there").touch()
    assert "there exists" in run("export", "one", "-o", "there").sentence(2)
    assert "say into which file" in run("export", "one", "--format", "parquet").sentence(2)
    assert "cannot write no/x" in run("export", "one", "-o", "no/x").sentence(1)
    assert "holds no run" in run("export", "nowhere").sentence(1)
    assert run("export", "one", "--step", "7").sentence(2) == "one has no step 7; its steps are 0 to 0"
    assert run("export", "one", "--step", "7", "-o", "x").code == 2
    assert not Path("x").exists()
    Store.create("new", kind="train", config={}).close()
    assert run("export", "new", "--step", "0").sentence(2) == "new has no step 0; no step was begun"
    assert (run("export", "new").code, run("export", "new").out) == (0, "")


@pytest.mark.parametrize("tasks", [1, 200], ids=["less than a buffer", "more"])
def test_a_reader_who_reads_no_more_ends_it_quietly(run: Run, tasks: int) -> None:
    run("eval", "guess", "--agent", "oracle", "--tasks", str(tasks), "--out", "one", "--json")
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "trace_gym.cli", "export", "one"]
    ended = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, timeout=120, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("words", "kib"),
    [
        ("export one -o new", 40),
        ("export one --format parquet -o new", 40),
        ("view one --export new", 40),
        ("split guess --seal new", 4),
    ],
)
def test_a_disk_that_is_full_leaves_nothing_in_the_way_of_the_next_try(
    run: Run, words: str, kib: int
) -> None:
    run("eval", "guess", "--agent", "random", "--tasks", "12", "-k", "20", "--out", "one", "--json")
    limited = f"ulimit -f {kib}; exec {sys.executable} -m trace_gym.cli {words}"
    ended = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode in (1, 2)
    assert "File too large" in ended.stderr
    assert ended.stderr.count("\n") == 1, "one sentence"
    assert not Path("new").exists()
    assert run(*words.split()).code == 0
