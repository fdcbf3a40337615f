"""Runs that are killed by the operating system again and again, in training and in evaluation."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.loop_files.killing import kill_until_done
from tests.loop_files.runs import SMALL, SUITE, Listening, assert_same, assert_sound, shape
from trace_gym.assemble import train
from trace_gym.config import dump, load
from trace_gym.core.budget import Budget
from trace_gym.environment.registry import suite
from trace_gym.evaluate import AdaptiveConfig, EvalConfig, Report, evaluate, evaluate_adaptively
from trace_gym.parts import make_agent
from trace_gym.store import Store
from trace_gym.testing import MemoryJournal


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    cache, folder = tmp_path / "cache", tmp_path / "run"
    config = load("guess", (*SMALL, "run.steps=8"))
    train(config, tmp_path / "whole", narrator=Listening(), cache=cache)
    (tmp_path / "run.toml").write_text(dump(config))
    kills = kill_until_done(
        ["train", str(tmp_path / "run.toml"), "--out", str(folder)],
        ["train", "--resume", "--out", str(folder)],
        folder,
        cache=cache,
        most=20,
        longest_s=1.2,
    )
    assert kills > 3
    with Store.open(folder, read_only=True) as store, Store.open(tmp_path / "whole", read_only=True) as other:
        assert_same(store, other)


def same(folder: Path, journal: MemoryJournal, report: Report) -> None:
    """An evaluation that was killed played and found what one found that was not."""
    with Store.open(folder, read_only=True) as store:
        assert_sound(store)
        known = journal.recover(0)
        assert known is not None
        trees = sorted(known.trees.values(), key=lambda tree: tree.index)
        mine = store.forest(0)
        assert shape(mine) == shape(type(mine)(0, trees))
        found = store.metrics(0)["report"]
    told = json.loads(json.dumps(report.json()))
    for key in ("success", "by", "pass_at", "episodes", "stops", "checks", "adaptive"):
        assert found[key] == told[key], key


def test_an_evaluation_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    folder, journal = tmp_path / "run", MemoryJournal()
    config = EvalConfig(tasks=40, attempts=12)
    whole = asyncio.run(evaluate([suite("guess")], make_agent("random"), config=config, journal=journal))
    words = ["eval", "guess", "--agent", "random", "--tasks", "40", "-k", "12", "--out", str(folder)]
    kills = kill_until_done(
        words, ["eval", "--resume", "--out", str(folder)], folder, cache=tmp_path, most=5, longest_s=0.5
    )
    assert kills >= 2
    same(folder, journal, whole)


def test_an_adaptive_evaluation_that_is_killed_spends_as_if_it_had_not_been(tmp_path):
    folder, journal = tmp_path / "run", MemoryJournal()
    whole = asyncio.run(
        evaluate_adaptively(
            [suite("guess")],
            make_agent("random"),
            adaptive=AdaptiveConfig(),
            config=EvalConfig(tasks=40),
            budget=Budget(trajectories=400),
            journal=journal,
        )
    )
    words = ["eval", "guess", "--agent", "random", "--tasks", "40", "--adaptive"]
    kills = kill_until_done(
        [*words, "--budget", "trajectories=400", "--out", str(folder)],
        ["eval", "--resume", "--out", str(folder)],
        folder,
        cache=tmp_path,
        most=5,
        longest_s=0.5,
    )
    assert kills >= 2
    same(folder, journal, whole)


@pytest.mark.slow
def test_an_evaluation_of_a_policy_that_is_killed_ends_as_if_it_had_not_been(tmp_path):
    cache, whole, folder = tmp_path / "cache", tmp_path / "whole", tmp_path / "run"
    config = load("guess", (*SMALL, "run.steps=1"))
    train(config, tmp_path / "trained", narrator=Listening(), cache=cache)
    words = ["eval", SUITE, "--policy", str(tmp_path / "trained"), "-k", "40"]
    for out, most in ((whole, 0), (folder, 6)):
        kills = kill_until_done(
            [*words, "--out", str(out)],
            ["eval", "--resume", "--out", str(out)],
            out,
            cache=cache,
            most=most,
            longest_s=1.0,
            seed=1,
        )
    assert kills >= 2
    with Store.open(folder, read_only=True) as store, Store.open(whole, read_only=True) as other:
        assert_sound(store)
        assert shape(store.forest(0)) == shape(other.forest(0))
        assert store.metrics(0)["report"]["success"] == other.metrics(0)["report"]["success"]
