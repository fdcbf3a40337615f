"""The command line as people type it: what it prints and where, and its exit codes.

`run` plays `trace-gym` in this process; the last test starts it as a process of its own.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from trace_gym.cli.main import COMMANDS
from trace_gym.cli.options import amounts, budget_of, episode_limits_of
from trace_gym.config import load
from trace_gym.core.errors import BadConfig, UnknownName
from trace_gym.environment.registry import suite
from trace_gym.evaluate import EpisodeLimits, EvalConfig, evaluate
from trace_gym.parts import make_agent
from trace_gym.store import RunStatus, Store
from trace_gym.testing import Crashed, CrashingJournal

Run: TypeAlias = Callable[..., Any]
EVAL = ("eval", "guess", "--agent", "oracle", "--tasks", "4", "--json")


# Help and looking around.


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_how_it_is_used_with_an_example(run: Run, command: str) -> None:
    ended = run(command, "--help")
    assert ended.code == 0
    assert f"Usage: trace-gym {command}" in ended.out
    assert "Examples: trace-gym " in ended.out


def test_help_lists_the_commands(run: Run) -> None:
    ended = run("--help")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.partition("Commands:")[2].splitlines() if line[:3] == "  l"]
    assert all(f"  {name} " in ended.out for name in COMMANDS)


def test_list_tells_of_every_suite(run: Run) -> None:
    rows = run("list", "--json").json()
    assert {"guess", "bfcl", "wikihop_compact"} <= set(rows)
    assert rows["guess"] == {
        "what": 'Find a hidden number; every wrong guess is answered with "Higher." or "Lower.".',
        "train": {"tasks": 1152, "families": 1152, "read": 1152},
        "test": {"tasks": 288, "families": 288, "read": 288},
        "subsets": [],
        "fork": "copy",
        "sandbox": False,
        "browser": False,
        "chance": 0.1,
        "tools": ["guess"],
    }
    table = run("list")
    assert table.code == 0
    assert "1152 (1152) " in table.out
    assert "12000 (12+) " in table.out
    first = {line.split()[0] for line in table.out.splitlines() if re.match(r" \w", line)}
    assert first == {"suite", *rows}, "no name is cut"


def test_doctor_looks_at_the_machine(run: Run) -> None:
    findings = {finding["name"]: finding for finding in run("doctor", "--json").json()["findings"]}
    assert {"python", "machine", "disk for runs", "torch", "cache", "suite guess"} <= set(findings)
    assert findings["python"]["usable"]
    assert findings["python"]["found"] == sys.version.split()[0]
    assert findings["suite guess"] == {
        "name": "suite guess",
        "usable": True,
        "found": "installed",
        "advice": "",
    }


def test_doctor_shows_commands_to_their_last_bracket(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    ended = run("doctor")
    assert ended.code == 0
    assert "for training and local policies: pip install 'trace-gym[train]'" in ended.out


def test_training_without_its_packages_names_the_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for words in (("train", "guess"), ("demo",), ("eval", "guess", "--policy", "tiny")):
        assert "pip install 'trace-gym[train]'" in run(*words).sentence(1)


# Certifying and playing.


def test_check_passes_the_tutorial(run: Run) -> None:
    told = run("check", "guess", "--forks", "5", "--fuzz", "100", "--json").json()
    assert told["passed"] is True
    assert [report["suite"] for report in told["suites"]] == ["guess"]


def test_check_fails_a_suite_that_noop_solves(run: Run, tmp_path: Path) -> None:
    source = (Path(__file__).parents[2] / "envs" / "trace_gym_envs" / "guess.py").read_text()
    trivial = source.replace('Verdict.of("found", found,', 'Verdict.of("found", True,')
    assert trivial != source
    (tmp_path / "trivial.py").write_text(trivial)
    ended = run("check", "trivial.py:GuessNumber", "--forks", "5", "--fuzz", "20", "--json")
    assert (ended.code, json.loads(ended.out)["passed"]) == (1, False)


def test_play_shows_what_an_agent_does(run: Run) -> None:
    ended = run("play", "guess", "--split", "test", "--agent", "oracle")
    assert ended.code == 0
    assert "Correct." in ended.err
    assert "success: True" in ended.err


# Evaluating.


def test_eval_prints_exactly_one_json_object(run: Run) -> None:
    told = run("eval", "guess", "--agent", "oracle", "--json").json()
    assert (told["success"]["mean"], told["success"]["high"]) == (1.0, 1.0)
    assert 0.97 < told["success"]["low"] < 1.0
    assert (told["episodes"], told["tasks"], told["invalid"], told["censored"]) == (288, 288, 0, 0)
    assert (told["suites"], told["agent"], told["split"]) == (["guess"], "oracle", "test")
    assert told["run"] is None


def test_eval_of_doing_nothing_is_zero(run: Run) -> None:
    told = run("eval", "guess", "--agent", "noop", "--tasks", "20", "-k", "2", "--json").json()
    assert (told["success"]["mean"], told["success"]["low"]) == (0.0, 0.0)
    assert 0.0 < told["success"]["high"] < 0.3
    passes = {k: found["mean"] for k, found in told["pass_at"].items()}
    assert (told["episodes"], passes) == (40, {"1": 0.0, "2": 0.0})


def test_eval_prints_tables(run: Run) -> None:
    ended = run(*EVAL[:-1])
    assert ended.code == 0
    for text in ("oracle on guess (test)", "1.000 [", "guess.found", "invalid (not counted)", "per success"):
        assert text in ended.out


def test_eval_keeps_a_run_that_can_be_read(run: Run, tmp_path: Path) -> None:
    told = run(*EVAL, "--out", "runs/one").json()
    with Store.open(tmp_path / "runs" / "one", read_only=True) as store:
        assert (store.kind, store.status) == ("eval", RunStatus.FINISHED)
        assert len(list(store.episodes())) == 4
        assert store.metrics(0)["report"]["success"] == told["success"]
    assert told["run"] == "runs/one"


def test_eval_resumes_what_was_cut_off(run: Run, tmp_path: Path) -> None:
    whole = run(*EVAL, "--out", "whole").json()
    with Store.open(tmp_path / "whole", read_only=True) as store:
        asked = store.config
    with Store.create(tmp_path / "half", kind="eval", config=asked) as store:
        journal, config = CrashingJournal(store, at=20), EvalConfig(tasks=4)
        with pytest.raises(Crashed):
            asyncio.run(evaluate([suite("guess")], make_agent("oracle"), config=config, journal=journal))
    with Store.open(tmp_path / "half", read_only=True) as store:
        assert len(list(store.episodes())) < 4
    finished = run(*EVAL, "--out", "half", "--resume").json()
    for key in ("success", "by", "episodes", "stops", "checks", "turns_per_episode"):
        assert finished[key] == whole[key]
    assert run(*EVAL, "--out", "half", "--resume").json()["episodes"] == 4, "nothing is left to play"


def test_an_evaluation_is_resumed_by_its_folder_alone(run: Run) -> None:
    whole = run(*EVAL, "--limit", "turns=3", "--out", "runs/one").json()
    again = run("eval", "--resume", "--out", "runs/one", "--json").json()
    assert (again["suites"], again["agent"]) == (["guess"], "oracle")
    assert again["success"] == whole["success"]


def test_the_seed_does_not_choose_the_tasks_but_of_older_evaluations_it_did(run: Run, tmp_path: Path) -> None:
    played: dict[str, list[str]] = {}
    for name, words in {"a": (), "b": ("--seed", "3"), "c": ("--seed", "3", "--sample", "3")}.items():
        run(*EVAL, *words, "--out", name)
        with Store.open(tmp_path / name, read_only=True) as store:
            played[name] = sorted(each.episode.task.key for each in store.episodes())
            asked = store.config
    assert played["a"] == played["b"] != played["c"]
    del asked["sample"]
    Store.create(tmp_path / "old", kind="eval", config=asked).close()
    assert run("eval", "--resume", "--out", "old", "--json").json()["episodes"] == 4
    with Store.open(tmp_path / "old", read_only=True) as store:
        assert sorted(each.episode.task.key for each in store.episodes()) == played["c"]


def test_an_evaluation_notes_which_held_out_tasks_it_used(run: Run, tmp_path: Path) -> None:
    run(*EVAL, "--out", "runs/one")
    run(*EVAL, "--out", "runs/one", "--resume")
    run(*EVAL, "--split", "train", "--out", "runs/two")
    with Store.open(tmp_path / "runs" / "one", read_only=True) as store:
        (access,) = store.accesses()
        assert (access.suite, len(access.tasks), access.purpose) == ("guess", 4, "evaluation of oracle")
    with Store.open(tmp_path / "runs" / "two", read_only=True) as store:
        assert store.accesses() == []


def test_eval_takes_limits_of_an_episode(run: Run) -> None:
    words = ("eval", "guess", "--agent", "noop", "--tasks", "3", "--json")
    told = run(*words, "--limit", "turns=2").json()
    assert (told["stops"], told["turns_per_episode"]) == ({"max_turns": 3}, 2.0)
    assert "did you mean 'turns'" in run(*words, "--limit", "turn=2").sentence(2)


BROKEN = """
from trace_gym import AgenticEnv, Task, Verdict

class Broken(AgenticEnv):
    suite = "broken"
    def begin(self, task):
        if task.id in self.breaks: raise OSError("no disk")
        return "Say something."
    breaks = ("0", "1", "2")
    def reply(self, message):
        self.finish()
        return "Thanks."
    def checks(self):
        yield Verdict.of("done", True, evidence="")
    @classmethod
    def tasks(cls, split):
        return [Task(str(i), "broken", split, str(i)) for i in range(3)]

class Shaky(Broken):
    breaks = ("0", "1")
"""


def test_eval_fails_where_not_one_episode_could_be_played(run: Run, tmp_path: Path) -> None:
    """Six were wanted and each was tried three times; the report is told all the same."""
    (tmp_path / "broken.py").write_text(BROKEN)
    words = ("eval", "broken.py:Broken", "--agent", "noop")
    ended = run(*words, "-k", "2", "--out", "one", "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["invalid"], told["success"]["mean"]) == (1, 18, None)
    says = "Error: not one of 18 episodes has an outcome; invalid: 18 (environment 18)"
    assert ended.err.strip() == says
    table = run(*words, "--adaptive", "--budget", "trajectories=30")
    assert (table.code, "invalid (not counted)" in table.out) == (1, True)
    again = run("eval", "--resume", "--out", "one", "--json")
    assert (again.code, json.loads(again.out)["invalid"]) == (1, 18)
    assert run("eval", "broken.py:Shaky", "--agent", "noop", "--json").json()["invalid"] == 6
    assert run(*words, "--budget", "trajectories=0", "--json").json()["episodes"] == 0, "none was wanted"


def test_eval_tells_how_far_it_is_where_there_is_no_bar(run: Run) -> None:
    ended = run("eval", "guess", "--agent", "oracle", "--tasks", "20")
    assert "20/20 episodes  20 solved" in ended.err
    assert "s left" in ended.err


def test_eval_plays_adaptively_within_a_budget(run: Run) -> None:
    words = ("eval", "guess", "--agent", "random", "--tasks", "20", "--adaptive")
    told = run(*words, "--budget", "trajectories=100", "--json", "--out", "first").json()
    assert (told["episodes"], told["adaptive"]["unit"]) == (100, "trajectories")
    assert told["success"]["low"] <= told["success"]["mean"] <= told["success"]["high"]
    table = run(*words, "--budget", "trajectories=60")
    assert "of this fixed set of tasks" in table.out
    assert "the best allocation" in table.out
    plain = run(
        "eval", "guess", "--agent", "random", "--tasks", "20", "-k", "4", "--out", "plain", "--json"
    ).json()
    again = run(*words, "--prior", "plain", "--budget", "trajectories=60", "--json", "--out", "second").json()
    assert (again["episodes"], plain["episodes"]) == (60, 80)
    assert run("eval", "--resume", "--out", "second", "--json").json()["success"] == again["success"]
    assert "add --adaptive" in run("eval", "guess", "--agent", "noop", "--width", "0.1").sentence(2)
    assert "leave -k out" in run(*words, "-k", "2", "--width", "0.1").sentence(2)
    assert "evaluated adaptively" in run("compare", "first", "plain").sentence(1)


def test_budgets_are_read_by_unit() -> None:
    budget = budget_of(["tokens=5e4", "trajectories=3", "seconds=1.5", "usd=0"])
    assert budget.limits == {"tokens": 50000, "trajectories": 3, "seconds": 1.5, "usd": 0.0}
    assert budget_of([]).limits == {}
    for text in ("tokens=-1", "tokens=inf", "usd=nan", "tokens=", "seconds=1s"):
        with pytest.raises(BadConfig, match=r"a budget is .*, got"):
            budget_of([text])
    for text in ("tokens=0.5", "trajectories=2.5"):
        with pytest.raises(BadConfig, match=r"a budget of \w+ is a whole number, got"):
            budget_of([text])
    assert amounts(["tokens=3", "seconds=12.5"], ("tokens", "seconds"), "budget") == {
        "tokens": 3,
        "seconds": 12.5,
    }
    assert repr(amounts(["tokens=5e4"], ("tokens",), "budget")) == "{'tokens': 50000}"
    assert episode_limits_of(["turns=3", "seconds=0.5"]) == EpisodeLimits(turns=3, seconds=0.5)
    with pytest.raises(BadConfig, match=r"a limit of turns is a whole number, got 'turns=0.5'"):
        episode_limits_of(["turns=0.5"])
    with pytest.raises(UnknownName, match="did you mean 'usd'"):
        budget_of(["us=1"])


def test_a_dry_run_prints_a_configuration_that_is_read_back(run: Run, tmp_path: Path) -> None:
    changes = ("--set", "train.lr=3e-5", "--set", "scheduler.options={n = 6}")
    ended = run("train", "guess", *changes, "--dry-run")
    assert ended.code == 0
    assert not any(tmp_path.iterdir())
    (tmp_path / "mine.toml").write_text(ended.out)
    again = load(tmp_path / "mine.toml")
    assert again == load("guess", ["train.lr=3e-5", "scheduler.options={n = 6}"])
    assert (again.train.lr, again.scheduler.options) == (3e-5, {"n": 6})
    assert "# training tasks: guess 1152" in ended.out
    assert run("train", "mine.toml", "--dry-run").out == ended.out


# As a process.


def test_the_module_is_the_command(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "trace_gym.cli"]
    good, bad = (
        subprocess.run([*words, *more], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        for more in (EVAL, ("eval", "guess", "--agent", "orcale"))
    )
    assert (good.returncode, good.stderr, good.stdout.count("\n")) == (0, "", 1)
    assert json.loads(good.stdout)["success"]["mean"] == 1.0
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "Error: unknown agent 'orcale'; did you mean 'oracle'?\n"
