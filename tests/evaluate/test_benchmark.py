"""Benchmarks: those that ship can be read, a file says what it means, and mistakes are named."""

from pathlib import Path

import pytest

from trace_gym.core.errors import BadConfig, UnknownName
from trace_gym.core.task import Split
from trace_gym.environment.registry import suite_names
from trace_gym.evaluate import EvalConfig, planned
from trace_gym.evaluate.benchmark import benchmark_names, is_benchmark, read_benchmark

MINE = """
description = "two"
max_tokens = 64
[[part]]
suite = "guess"
k = 3
tasks = 5
turns = 4
tokens = 100
weight = 2.0
[[part]]
suite = "bfcl:base"
tasks = 2
"""


@pytest.mark.parametrize("name", benchmark_names())
def test_what_ships_can_be_read(name: str) -> None:
    found = read_benchmark(name)
    assert found.description
    assert {part.suite.name for part in found.parts} <= set(suite_names())
    assert all(part.suite.tasks(Split.TEST) for part in found.parts)


def test_core_needs_nothing_but_the_package() -> None:
    assert [part.suite.name for part in read_benchmark("core").parts] == [
        "guess",
        "wikihop_compact",
        "wikihop",
        "bfcl",
    ]


def test_a_file_says_suites_attempts_limits_and_weights(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    found = read_benchmark(str(tmp_path / "mine.toml"))
    assert (found.max_tokens, [part.weight for part in found.parts]) == (64, [2.0, 1.0])
    plan = planned(found.parts, EvalConfig())
    assert [each.attempts for each in plan] == [3] * 5 + [1] * 2
    assert {(each.task.limits.max_turns, each.task.limits.max_tokens) for each in plan[:5]} == {(4, 100)}
    assert {each.task.subset for each in plan[5:]} == {"base"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("k = 3", "k = 0"), "part.0.k"),
        (("weight = 2.0", "wieght = 2.0"), "part.0.wieght"),
        (("weight = 2.0", "weight = -1.0"), "part.0.weight"),
        (('suite = "guess"', ""), "part.0.suite"),
        (("[[part]]", "[[part"), "not valid TOML"),
    ],
)
def test_mistakes_are_named(change: tuple[str, str], says: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE.replace(*change, 1))
    with pytest.raises(BadConfig, match=says):
        read_benchmark(str(tmp_path / "mine.toml"))


def test_names_are_told_from_suites() -> None:
    assert is_benchmark("core")
    assert is_benchmark("mine.toml")
    assert not is_benchmark("guess")
    assert not is_benchmark("mcp?config=tasks.toml")
    with pytest.raises(UnknownName, match="did you mean 'core'"):
        read_benchmark("cor")
    with pytest.raises(BadConfig, match="cannot read the benchmark"):
        read_benchmark("nowhere.toml")
