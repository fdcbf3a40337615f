"""`trace-gym bench`: benchmarks are found by their files, listed without being run, and print one object."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from trace_gym.cli.bench_command import benchmarks, module_of, summary

Run: TypeAlias = Callable[..., Any]


def test_every_benchmark_is_two_files_and_says_what_it_measures() -> None:
    assert "allocator" in benchmarks()
    package = Path(__file__).parents[2] / "trace_gym"
    for name in benchmarks():
        assert (package / "bench" / f"{name.replace('-', '_')}.py").is_file()
        assert summary(name)
        assert not summary(name).startswith("`")


@pytest.mark.parametrize("name", benchmarks())
def test_every_benchmark_says_how_it_is_used(run: Run, name: str) -> None:
    ended = run("bench", name, "--help")
    assert ended.code == 0
    assert "Examples: trace-gym bench" in " ".join(ended.out.split())


def test_help_lists_them_and_loads_none() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from trace_gym.cli.main import cli\n"
        "print(CliRunner().invoke(cli, ['bench', '--help']).output)\n"
        "print('loaded:', *(n for n in sys.modules if n.startswith('trace_gym.bench.') or n == 'torch'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    listing, _, loaded = ended.stdout.rpartition("loaded:")
    assert all(f"  {name} " in listing for name in benchmarks())
    assert not loaded.strip()


def test_an_unknown_benchmark_names_the_nearest(run: Run) -> None:
    assert run("bench", "alocator").sentence(2) == "unknown benchmark 'alocator'; did you mean 'allocator'?"


def test_allocator_prints_one_object_and_keeps_it(run: Run, tmp_path: Path) -> None:
    words = ("bench", "allocator", "--candidates", "64", "--roots", "24", "--prefixes", "8", "--small", "5")
    found = run(*words, "--json", "--out", "kept/found.json").json()
    assert found["spent"] == 24
    assert found["exact"] is True
    assert json.loads((tmp_path / "kept" / "found.json").read_text()) == found
    assert "optimum met" in run(*words).out
    (tmp_path / "file").write_text("")
    assert run(*words, "--out", "file/below.json").sentence(2).startswith("cannot write file/below.json")


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = run("bench", "env", "no_such_suite", "--out", "file/below.json").sentence(2)
    assert told.startswith("cannot write file/below.json: ")
    assert told.endswith("/file is no folder, or cannot be written to")


def test_modules_are_named_like_their_benchmarks() -> None:
    assert module_of("two-words") == "trace_gym.cli.bench_two_words"


def test_allocation_prints_a_table_and_one_object(run: Run, tmp_path: Path) -> None:
    words = (
        "bench",
        "allocation",
        "--methods",
        "uniform,trace_plus?queue=true",
        "--predictors",
        "sharp,cold",
    )
    small = (
        *words,
        "--tasks",
        "16",
        "--turns",
        "3",
        "--pool",
        "8",
        "--budget",
        "24",
        "--steps",
        "2",
        "--seeds",
        "2",
    )
    found = run(*small, "--json", "--out", "found.json").json()
    assert [(row["method"], row["predictor"]) for row in found["rows"]] == [
        ("uniform", "sharp"),
        ("trace_plus?queue=true", "sharp"),
        ("uniform", "cold"),
        ("trace_plus?queue=true", "cold"),
    ]
    assert json.loads((tmp_path / "found.json").read_text()) == found
    table = run(*small)
    assert "predictor: cold" in table.out
    assert "trace_plus?queue=true" in table.out
    assert "steps a minute" in table.out


def test_allocation_refuses_what_there_is_not(run: Run) -> None:
    words = ("bench", "allocation", "--steps", "1")
    assert run(*words, "--methods", "trac").sentence(2) == "unknown scheduler 'trac'; did you mean 'trace'?"
    assert (
        run(*words, "--predictors", "wise", "--methods", "trace").sentence(2).startswith("predictor must be")
    )
    assert run(*words, "--methods", "trace?x").sentence(2).startswith("options are written NAME?option=value")


def test_schedulers_are_refused_before_anything_runs(run: Run, tmp_path: Path) -> None:
    words = ("bench", "schedulers", "--folder", "new", "--methods", "uniform")
    assert run(*words).sentence(2).startswith("say what every run may spend: --budget tokens=N")
    paid = (*words, "--budget", "tokens=100")
    assert (
        run(*paid, "--methods", "unifrom").sentence(2).startswith("unknown scheduler 'unifrom'; did you mean")
    )
    other = run(*paid, "--methods", "uniform,trace", "--baseline", "trac")
    assert other.sentence(2) == "unknown baseline 'trac'; did you mean 'trace'?"
    assert run(*paid, "--budget", "miles=3").sentence(2).startswith("unknown budget unit 'miles'")
    assert run(*paid, "--tune", "lr").sentence(2).startswith("a grid is written KEY=VALUE,VALUE")
    (tmp_path / "settings.toml").write_text("tuned_on = [1]\n")
    tuned = run(*paid, "--settings", "settings.toml", "--seeds", "2")
    assert tuned.sentence(2) == "seed 1 was used for tuning; report on others"
    timed = run(*words, "--budget", "seconds=0.5", "--settings", "settings.toml", "--seeds", "2")
    assert timed.sentence(2) == "seed 1 was used for tuning; report on others", "half a second is a budget"
    for text in ("tokens=70.5", "trajectories=0.5"):
        says = f"a budget of {text.partition('=')[0]} is a whole number, got {text!r}"
        assert run(*words, "--budget", text).sentence(2) == says
    assert not (tmp_path / "new").exists()


def test_a_comparison_needs_no_folder_named(run: Run) -> None:
    ended = run("bench", "schedulers", "--methods", "uniform")
    assert ended.code == 2
    assert "say what every run may spend" in ended.err
    assert not Path("runs").exists()
