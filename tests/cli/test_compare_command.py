"""`trace-gym compare` as people type it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from trace_gym.store import Store

Run: TypeAlias = Callable[..., Any]
WORDS = ("eval", "guess", "wikihop_compact", "--tasks", "12", "--json")


def test_the_oracle_is_better_than_nothing(run: Run) -> None:
    run(*WORDS, "--agent", "noop", "--out", "nothing")
    run(*WORDS, "--agent", "oracle", "--out", "best")
    told = run("compare", "nothing", "best", "--json").json()["comparisons"]
    assert [each["suite"] for each in told] == [None, "guess", "wikihop_compact"]
    assert all(each["verdict"] == "better" for each in told)
    assert (told[0]["means"], told[0]["difference"]["tasks"]) == ([0.0, 1.0], 24)
    assert len(told[0]["disagree"]) == 24
    table = run("compare", "nothing", "best", "--tasks", "3")
    assert table.code == 0
    for text in (
        "+1.000 [+0.641, +1.000]",
        "better",
        "tasks that differ: 24",
        "not told of fewer than 8 attempts",
        "clustered by",
    ):
        assert text in table.out, text
    assert "four times in five" not in table.out, "there is no noise to speak of"
    assert "-3 is not in the range" in run("compare", "nothing", "best", "--tasks", "-3").sentence(2)


def test_names_of_runs_are_whole_in_a_pipe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    names = [f"{'a-long-way-to/' * 4}run[{number}]" for number in (0, 1, 2)]
    for name in names:
        run("eval", "guess", "--tasks", "3", "--agent", "oracle", "--out", name, "--json").json()
    table = run("compare", *names).out
    rows = [line for line in table.splitlines() if line.startswith("│ a-long")]
    assert [row.split()[1] for row in rows] == names[1:]
    assert all(" +0.000 [" in row for row in rows), "on one line"
    assert "\N{HORIZONTAL ELLIPSIS}" not in table


def test_difficulty_is_told_of_enough_attempts(run: Run) -> None:
    for agent in ("noop", "oracle"):
        run("eval", "guess", "--tasks", "3", "-k", "4", "--agent", agent, "--out", agent, "--json")
    table = run("compare", "noop", "oracle")
    assert "tasks by difficulty" in table.out
    assert "middle" in table.out


def test_a_training_run_stands_for_its_newest_evaluation(run: Run, tmp_path: Path) -> None:
    Store.create(tmp_path / "t", kind="train", config={}).close()
    assert "without an evaluation to compare" in run("compare", "t", "t").sentence(1)
    for step, agent in ((0, "noop"), (7, "oracle")):
        run("eval", "guess", "--tasks", "5", "--agent", agent, "--out", f"t/eval/step-{step:05d}", "--json")
    told = run("compare", "t/eval/step-00000", "t", "--json").json()["comparisons"]
    assert (told[0]["second"], told[0]["means"]) == ("t/eval/step-00007", [0.0, 1.0])


def test_one_run_is_no_comparison(run: Run) -> None:
    run("eval", "guess", "--tasks", "2", "--agent", "noop", "--out", "one", "--json")
    assert "at least two" in run("compare", "one").sentence(2)
    assert "holds no run" in run("compare", "one", "two").sentence(1)
