"""What is said of a run that is interrupted: how to go on, where that is possible."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from trace_gym.cli.resume import resumable
from trace_gym.store import RunStatus, Store

Run: TypeAlias = Callable[..., Any]
STOPPING = """
import os
import signal
from pathlib import Path
from trace_gym import AgenticEnv, Task, Verdict

class Stopping(AgenticEnv):
    suite = "stopping"
    def begin(self, task):
        if not Path("go-on").exists(): os.kill(os.getpid(), signal.SIGINT)
        return "Say something."
    def reply(self, message):
        self.finish()
        return "Thanks."
    def checks(self):
        yield Verdict.of("done", True, evidence="")
    @classmethod
    def tasks(cls, split):
        return [Task("1", "stopping", split, "1")]
"""


@pytest.fixture
def words(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "stopping.py").write_text(STOPPING)
    return ("eval", "stopping.py:Stopping", "--agent", "noop", "--json")


def interrupted(*words: str) -> list[str]:
    """What a command said that was interrupted, in a process of its own, which heeds interrupts even where
    these tests run in the background, without."""
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heeds}; from trace_gym.cli.main import main; main()"
    command = [sys.executable, "-c", program, *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    return [line for line in ended.stderr.splitlines() if line]


def test_an_interrupted_evaluation_says_how_to_go_on_and_does(run: Run, words: tuple[str, ...]) -> None:
    said = interrupted(*words, "--out", "my runs/one")
    assert said == ["continue with: trace-gym eval --resume --out 'my runs/one'", "Error: interrupted"]
    with Store.open(Path("my runs/one"), read_only=True) as store:
        assert store.status is RunStatus.INTERRUPTED
    Path("go-on").touch()
    assert run("eval", "--resume", "--out", "my runs/one", "--json").json()["episodes"] == 1


@pytest.mark.usefixtures("run")
def test_without_a_folder_there_is_nothing_to_go_on_with(words: tuple[str, ...]) -> None:
    assert interrupted(*words) == ["Error: interrupted"]


def test_before_a_run_is_there_nothing_is_advised(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for known in (False, True):
        if known:
            Store.create(tmp_path, kind="train", config={}).close()
        with pytest.raises(KeyboardInterrupt), resumable("train", tmp_path):
            raise KeyboardInterrupt
        advice = f"continue with: trace-gym train --resume --out {tmp_path}\n"
        assert capsys.readouterr().err == (advice if known else "")
