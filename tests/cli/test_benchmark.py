"""`trace-gym eval` on a benchmark."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Run: TypeAlias = Callable[..., Any]
MINE = """
description = "two"
[[part]]
suite = "guess"
tasks = 5
weight = 3.0
[[part]]
suite = "wikihop_compact"
k = 2
tasks = 4
"""


def test_a_benchmark_is_one_report_with_a_weighted_mean(run: Run) -> None:
    Path("mine.toml").write_text(MINE)
    told = run("eval", "mine.toml", "--agent", "oracle", "--json", "--out", "one").json()
    assert (told["episodes"], told["score"]["mean"]) == (13, 1.0)
    assert {name for name in told["by"] if ":" not in name} == {"guess", "wikihop_compact"}
    assert run("eval", "--resume", "--out", "one", "--json").json()["score"] == told["score"]
    table = run("eval", "mine.toml", "--agent", "noop", "--tasks", "2")
    assert "mean of the parts" in table.out
    assert "6 of 4 tasks" in table.out
    Path("mine.toml").write_text(MINE.replace("k = 2", "k = 3"))
    assert "what differs: benchmark" in run(
        "eval", "mine.toml", "--agent", "oracle", "--out", "one", "--resume"
    ).sentence(1)
    assert "evaluated alone" in run("eval", "core", "guess", "--agent", "noop").sentence(2)


def test_what_a_benchmark_says_itself_is_not_asked_for_in_vain(run: Run) -> None:
    Path("mine.toml").write_text(MINE)
    mine = ("eval", "mine.toml", "--agent", "oracle")
    says = run(*mine, "-k", "3").sentence(2)
    assert says == "mine.toml says itself how often its tasks are played: leave -k out"
    says = run(*mine, "--max-tokens", "9").sentence(2)
    assert says == "mine.toml says itself what a turn may sample: leave --max-tokens out"
    told = run(*mine, "--adaptive", "--budget", "trajectories=40")
    assert "how often a task is played is decided as it goes, not by the benchmark's k" in told.err
