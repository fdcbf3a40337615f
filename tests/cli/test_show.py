"""`trace-gym runs` and `trace-gym show` as people type it, on runs of every kind and state."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from rich.console import Console

from tests.loop_files.runs import SMALL, Listening
from trace_gym.assemble import train
from trace_gym.cli.display import Display
from trace_gym.cli.text_tree import Notes, text_tree
from trace_gym.config import load
from trace_gym.core.budget import Cost
from trace_gym.core.scheduler import Grant
from trace_gym.core.tree import Anchor
from trace_gym.store import RunStatus, Store
from trace_gym.testing import grow_tree, toy_task

Run: TypeAlias = Callable[..., Any]


def test_runs_tells_how_every_run_stands(run: Run) -> None:
    run("eval", "guess", "--agent", "oracle", "--tasks", "4", "--out", "runs/one", "--json")
    Store.create("runs/cut", kind="train", config={}).close()
    Path("runs/bad").mkdir()
    Path("runs/bad/run.sqlite").write_text("this is no database" * 100)
    with Store.create("runs/live", kind="train", config={}):
        told = {row["run"]: row for row in run("runs", "--json").json()["runs"]}
        table = run("runs")
    assert set(told) == {"one", "cut", "bad", "live"}
    assert [told[name]["status"] for name in ("one", "cut", "live")] == ["finished", "cut off", "running"]
    assert (told["one"]["episodes"], told["one"]["success"], told["one"]["kind"]) == (4, 1.0, "eval")
    assert "not one" in told["bad"]["error"]
    for text in ("finished", "cut off", "running", "restore it from a copy"):
        assert text in table.out
    assert "no folder nowhere" in run("runs", "nowhere").sentence(2)


def test_tables_are_whole_in_a_pipe_and_broken_but_not_cut_in_a_narrow_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"experiments/compare/trace-plus-seed{seed}/step-00000[{seed}]" for seed in (0, 1)]
    told = {"success_bare": 0.1234, "tokens_sampled": 1234567890.0}
    for name in names:
        with Store.create(f"runs/{name}", kind="train", config={}) as store:
            store.open_step(0, [], [])
            store.close_step(0, told)
            store.set_status(RunStatus.INTERRUPTED)
    monkeypatch.setenv("COLUMNS", "60")
    listed = run("runs").out
    assert all(name in listed for name in names)
    assert "1,234,567,890" in run("show", f"runs/{names[0]}").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    for words, texts in (
        (("runs",), [*names, "interrupted", "0.123"]),
        (("show", f"runs/{names[0]}"), ["1,234,567,890"]),
    ):
        lines = re.sub(r"\x1b\[[0-9;]*m", "", run(*words).out).splitlines()
        drawn = [line for line in lines if line.startswith("│")]
        assert max(map(len, drawn)) <= 60
        rows = [[cell.strip() for cell in line.split("│")] for line in drawn]
        columns = "\n".join("".join(parts) for parts in zip(*rows, strict=True))
        assert all(text in columns for text in texts), columns


def test_show_tells_what_an_evaluation_found_and_the_tree_of_a_task(run: Run) -> None:
    run("eval", "guess", "--agent", "oracle", "--tasks", "4", "-k", "2", "--out", "one", "--json")
    whole = run("show", "one")
    for text in ("eval, finished, 8 episodes", "1.000 [", "guess.found", "pass^2"):
        assert text in whole.out, text
    facts = run("show", "one", "--json").json()
    assert (facts["episodes"], facts["config"]["tasks"], set(facts["steps_by_number"])) == (8, 4, {"0"})
    with Store.open("one", read_only=True) as store:
        key = next(iter(store.played(0)))
    assert "name the task, too" in run("show", "one", "--step", "0").sentence(2)
    shown = run("show", "one", key)
    assert shown.code == 0
    for text in (
        key,
        "guess(number=",
        "Correct.",
        "✓",
        "rollout 0 solved (terminated)",
        "[+2: 4 of 4 tasks]",
    ):
        assert text in shown.out, text
    assert "2 rollouts" in shown.out
    assert "2 of 2 solved" in shown.out
    record = run("show", "one", key.removeprefix("guess/"), "--json").json()
    assert (record["task"], len(record["episodes"])) == (key, 2)
    assert "unknown task of the run 'gess/1'" in run("show", "one", "gess/1").sentence(2)


def test_show_tells_how_a_training_run_went(run: Run, tmp_path: Path) -> None:
    config = load("guess", (*SMALL, "run.steps=2", "budget.step_trajectories=24"))
    train(config, tmp_path / "t", narrator=Listening(), cache=tmp_path / "cache")
    whole = run("show", "t")
    for text in ("train, finished", "effective", "Brier"):
        assert text in whole.out, text
    with Store.open(tmp_path / "t", read_only=True) as store:
        mixed = [(step, tree.task.key) for step in (0, 1) for tree in store.forest(step).trees if tree.mixed]
    step, key = mixed[-1]
    shown = run("show", "t", key, "--step", str(step))
    assert f"step {step}, tree " in shown.out
    for text in (" V 0.", " A +", " A -", "[+"):
        assert text in shown.out, text
    assert "step 0, tree" in run("show", "t", next(iter(_keys(tmp_path / "t"))), "--step", "0").out
    assert {row["run"] for row in run("runs", "t", "--json").json()["runs"]} >= {"t", "eval/step-00000"}


def test_show_tells_what_each_suite_of_a_mixed_run_learnt_and_took(run: Run, tmp_path: Path) -> None:
    with Store.create(tmp_path / "m", kind="train", config={}) as store:
        for step, won in ((0, 0.25), (1, 0.75)):
            told = {"success_bare": won, "trajectories": 40.0, "tokens_sampled": 1000.0}
            for suite, part in (("shop", 0.25), ("wikihop", 0.75)):
                of = {"success_bare": won * part, "effective_ratio": part, "share_tokens": part}
                of |= {"trajectories": 40 * part, "tokens_sampled": 1000 * part, "env_seconds": 6 * part}
                told |= {f"suite/{suite}/{name}": value for name, value in of.items()}
            store.open_step(step, [], [])
            store.close_step(step, told)
    lines = [" ".join(line.replace("│", " ").split()) for line in run("show", "m").out.splitlines()]
    assert "shop 0.062 0.188 0.250 20 25% 500 25% 3.0 s" in lines
    assert "wikihop 0.188 0.562 0.750 60 75% 1,500 75% 9.0 s" in lines


def test_success_of_nothing_is_a_dash(run: Run, tmp_path: Path) -> None:
    """As the loop says it, and later: two suites, of which a step played one or none."""
    rest = dict.fromkeys(("effective_ratio", "trajectories", "tokens_sampled", "env_seconds"), 0.0)
    told = rest | {"leaves": 0.0, "trees": 0.0, "suite/a/success_bare": 0.5, "success_bare": 0.5}
    told |= {f"suite/{name}/{key}": 0.0 for name in "ab" for key in (*rest, "share_tokens")}
    nothing = {name: value for name, value in told.items() if not name.endswith("success_bare")}
    display = Display(total=2)
    display.console.file = said = io.StringIO()
    with Store.create(tmp_path / "m", kind="train", config={}) as store:
        for step, metrics in enumerate((told, nothing)):
            store.open_step(step, [], [])
            store.close_step(step, metrics)
            display.step_done(step, metrics)
    heads = [line.split("  effective")[0].strip() for line in said.getvalue().splitlines()]
    assert heads == [
        "step 0 (1/2)  success 0.500",
        "a: success 0.500",
        "b: success -",
        "step 1 (2/2)  success -",
        "a: success -",
        "b: success -",
    ]
    lines = [line.replace("│", " ").split() for line in run("show", "m").out.splitlines()]
    cells = [line[:3] for line in lines if line and line[0] in ("0", "1", "a", "b")]
    assert cells == [["0", "0.500", "0.000"], ["1", "-", "0.000"], ["a", "0.500", "-"], ["b", "-", "-"]]
    assert run("runs", "m", "--json").json()["runs"][0]["success"] is None


def test_a_terminal_of_few_characters_is_told_all_the_same(run: Run) -> None:
    run("eval", "guess", "--agent", "oracle", "--tasks", "1", "--out", "ü", "--json")
    (key,) = _keys(Path("ü"))
    words = [sys.executable, "-m", "trace_gym.cli"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for rest, said in (
        (["show", "ü", key], b"solved (terminated)"),
        (["show", "ü"], b"\\xfc: eval, finished"),
    ):
        told = subprocess.run([*words, *rest], env=environment, capture_output=True, timeout=120, check=False)
        assert (told.returncode, told.stderr) == (0, b"")
        assert said in told.stdout


def test_little_costs_are_told_in_few_digits_never_as_nothing() -> None:
    display = Display(total=1)
    display.console.file = said = io.StringIO()
    display.costs(Cost(trajectories=1200, decoded=7, env_seconds=0.0123, usd=0.034, model_seconds=3.75))
    rows = [line.split("│")[1:3] for line in said.getvalue().splitlines() if line.startswith("│")]
    told = {name.strip(): value.strip() for name, value in rows}
    assert told["trajectories"] == "1,200"
    assert [told[name] for name in ("decoded", "env_seconds", "usd", "model_seconds")] == [
        "7",
        "0.012",
        "0.034",
        "3.75",
    ]


def _keys(folder: Path) -> list[str]:
    with Store.open(folder, read_only=True) as store:
        return list(store.played(0))


@pytest.fixture
def drawn() -> Callable[..., list[str]]:
    def draw(*spellings: str, notes: Notes | None = None) -> list[str]:
        tree = grow_tree(*spellings, task=toy_task())
        console = Console(width=200, color_system=None)
        with console.capture() as captured:
            console.print(text_tree(tree, notes or Notes()))
        return [line.rstrip() for line in captured.get().splitlines()]

    return draw


def test_branches_forks_and_ends_are_told_apart(drawn: Callable[..., list[str]]) -> None:
    grant = Grant(3, Anchor(0, 1), 2, "flip .62")
    notes = Notes({0: 0.25, 1: 0.75}, {1: [grant]}, {2: 0.5, 3: -0.5})
    lines = drawn("0 1 2 +", "1 3 -", "0 4 !", "0 5 .", notes=notes)
    text = "\n".join(lines)
    assert "V 0.25" in lines[0]
    (fork,) = [line for line in lines if "[+2: flip .62]" in line]
    assert "V 0.75" in fork
    assert "solved (terminated)" in text
    assert "not solved (terminated)" in text
    assert "no outcome (invalid" in text
    assert "is running" in text
    assert ("A +0.50" in text, "A -0.50" in text) == (True, True)
