"""What the command line refuses: in one sentence, with an exit code that tells why, overwriting nothing."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Run: TypeAlias = Callable[..., Any]
EVAL = ("eval", "guess", "--agent", "oracle", "--tasks", "4", "--json")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that holds anything, but for the index that readers share of SQLite's log."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size)
    return {str(path): path.read_bytes() for path in files if not path.name.endswith("-shm")}


def test_eval_overwrites_no_run_and_resumes_no_other(run: Run, tmp_path: Path) -> None:
    run(*EVAL, "--out", "one").json()
    (tmp_path / "file").write_text("mine")
    before = contents(tmp_path)
    refused = [
        ((*EVAL, "--out", "one"), "one exists and is not empty; choose another"),
        ((*EVAL, "--out", "file"), "file is a file; choose another"),
        ((*EVAL, "--out", "file/below"), "run folder file/below cannot be used"),
        ((*EVAL, "--out", "none", "--resume"), "none holds no run"),
        ((*EVAL, "--seed", "3", "-k", "2", "--out", "one", "--resume"), "what differs: attempts, seed"),
        (("train", "guess", "--out", "one"), "one holds a run already"),
        (("train", "--resume", "--out", "one"), "one holds a run of kind 'eval'"),
        (("demo", "--out", "one"), "one exists and is not empty; choose another"),
    ]
    for words, says in refused:
        assert says in run(*words).sentence(1)
    assert contents(tmp_path) == before


def test_an_evaluation_resumed_by_its_folder_takes_no_other_options(run: Run, tmp_path: Path) -> None:
    run(*EVAL, "--out", "one").json()
    before = contents(tmp_path)
    resumed = ("eval", "--resume", "--out", "one", "--json")
    refused = {
        "--budget trajectories=50": "budgets",
        "--agent random --attempts 3 --seed 9": "agent_name, attempts, seed",
        "-k 2 --tasks 4": "attempts",
        "--policy tiny": "policy",
        "--screenshots": "screenshots",
        "--temperature 0.0 --limit turns=3 --workers 2": "limits, temperature",
    }
    for words, names in refused.items():
        says = run(*resumed, *words.split()).sentence(1)
        assert says == f"one holds another evaluation; what differs: {names}"
    assert contents(tmp_path) == before
    told = run(*resumed, "--agent", "oracle", "--tasks", "4", "-k", "1", "--workers", "2").json()
    assert told["episodes"] == 4


def test_an_evaluation_with_pictures_is_not_taken_up_without(run: Run) -> None:
    run(*EVAL, "--screenshots", "--out", "one").json()
    says = run(*EVAL, "--out", "one", "--resume").sentence(1)
    assert says == "one holds another evaluation; what differs: screenshots"
    assert run("eval", "--resume", "--out", "one", "--json").json()["episodes"] == 4


def test_a_read_only_folder_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*EVAL, "--out", "open").json()  # loads what nobody but the owner may be able to read
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "closed").mkdir()
        folder.chmod(0o755)
        (folder / "closed").chmod(0o555)
        monkeypatch.chdir(folder)
        privileged = os.geteuid() == 0
        if privileged:
            os.seteuid(65534)
        try:
            says = run(*EVAL, "--out", "closed").sentence(1)
            assert (
                "run folder closed: its database cannot be opened; see who may read and write there" in says
            )
            says = run(*EVAL, "--out", "closed/run").sentence(1)
            assert "run folder closed/run cannot be used: PermissionError" in says
        finally:
            if privileged:
                os.seteuid(0)
        assert contents(folder) == {}
        monkeypatch.undo()


def test_a_cache_that_cannot_be_written_to_is_named_with_the_way_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRACE_GYM_CACHE", str(tmp_path / "file" / "cache"))
    told = run("eval", "guess", "--policy", "tiny", "--json").sentence(2)
    assert told.startswith(
        f"a warm model cannot be kept in {tmp_path}/file/cache/tiny (TRACE_GYM_CACHE names"
    )


# Input that cannot work: one sentence, exit code 2, nothing written.


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("evl", "unknown command 'evl'; did you mean 'eval'?"),
        ("eval gues --agent oracle", "unknown suite 'gues'; did you mean 'guess'?"),
        ("check gues", "unknown suite 'gues'; did you mean 'guess'?"),
        ("play gues", "unknown suite 'gues'; did you mean 'guess'?"),
        ("eval guess --agent orcale", "unknown agent 'orcale'; did you mean 'oracle'?"),
        ("play guess --agent orcale", "unknown agent 'orcale'; did you mean 'oracle'?"),
        ("eval guess --policy smolm2", "unknown model 'smolm2'; did you mean 'smollm2'?"),
        ("eval guess:esy --agent oracle", "unknown guess test subset 'esy'"),
        ("eval guess?rewrad=shaped --agent oracle", "did you mean 'reward'?"),
        ("eval guess --agent oracle --budget tokns=3", "did you mean 'tokens'?"),
        ("play guess --task 1000-3333", "unknown task of guess (train) '1000-3333'; did you mean '1000-"),
        ("play guess --task 9999", "numbered from 0; got 9999"),
        ("train guesss", "unknown file or preset 'guesss'; did you mean 'guess'?"),
        ("train guess --set train.lrr=1", "unknown config key 'train.lrr'; did you mean 'train.lr'?"),
        ("train guess --set trian.lr=1", "unknown config key 'trian'; did you mean 'train'?"),
        ("train guess --set scheduler.name=unifrom --dry-run", "did you mean 'uniform'?"),
        ("train guess --set predictor.name=bta --dry-run", "did you mean 'beta'?"),
        ("train guess --set train.lr=fast", "config key 'train.lr' cannot be 'fast'"),
        ("train guess --set run.steps=0", "config key 'run.steps' cannot be 0"),
        ("train none.toml", "cannot read the configuration none.toml"),
        ("train", "name a configuration file or a preset: "),
        ("train guess --resume", "--resume takes the run folder in --out"),
        ("train --resume --set run.workers=3", "--resume takes the run folder in --out"),
        ("eval guess", "say who acts"),
        ("eval guess --agent chat_api?model=m&base_url=localhost:8000/v1", "begins with http:// or https://"),
        ("eval guess --agent oracle --policy tiny", "say who acts"),
        ("eval guess --agent oracle --resume", "say which with --out"),
        ("eval guess --agent oracle --workers 0", "at least one worker"),
        ("eval guess --agent oracle -k 0", "must be at least 1, got 0"),
        ("eval guess --agent oracle --tasks 0", "must be at least 1, got 0"),
        ("eval guess --agent oracle --temperature -1", "Invalid value for '--temperature'"),
        ("eval guess --agent oracle --top-p 0", "Invalid value for '--top-p'"),
        ("eval guess --agent oracle --splt test", "No such option"),
        ("eval guess guess --agent oracle", "guess, guess overlap"),
        ("check", "name a suite, or say --all"),
        ("check guess --forks 0", "Invalid value for '--forks'"),
        ("serve guess --result nowhere/r.json", "the result cannot be written to nowhere/r.json: FileNot"),
        ("split guess --read 0", "Invalid value for '--read'"),
        ("split guess --read -5", "Invalid value for '--read'"),
    ],
)
def test_wrong_input_is_one_sentence_and_code_2(run: Run, words: str, says: str, tmp_path: Path) -> None:
    assert says in run(*words.split()).sentence(2)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("words", ["--budget tokns=3", "--budget tokens=few", "--agent oracle --policy tiny"])
def test_a_refused_evaluation_leaves_no_folder(run: Run, words: str, tmp_path: Path) -> None:
    run(*EVAL, *words.split(), "--out", "one").sentence(2)
    assert not any(tmp_path.iterdir())
