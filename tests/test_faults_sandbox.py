"""Faults of sandboxes in the middle of an evaluation, each alone and some together with others.

| fault | observed |
|---|---|
| bubblewrap is killed | the command ends with 137 and says so; it is started again on its files |
| a container is killed or stopped from outside | invalid (sandbox), retried |
| the daemon is gone | an evaluation: invalid (sandbox), nothing hangs; once it is back a new run plays as \
before; training: one sentence ends it, resumed it goes on |
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.loop_files import halting
from tests.loop_files.faults import Meddling, pragma
from tests.loop_files.processes import alive, wait_until
from tests.loop_files.runs import SMALL, assert_sound
from trace_gym.bench.boxed import Boxed
from trace_gym.core.agent import Agent, Move, View
from trace_gym.core.episode import StopReason
from trace_gym.core.errors import ModelFailed, RunFolderError
from trace_gym.core.journal import Journal
from trace_gym.core.sandbox import SandboxSpec
from trace_gym.environment.registry import Suite
from trace_gym.environment.sandbox import provider
from trace_gym.evaluate import EvalConfig, Report, evaluate
from trace_gym.parts import make_agent
from trace_gym.store import Store
from trace_gym.testing import MemoryJournal

ENGINE = Path(__file__).parents[1] / ".ci" / "docker_engine"
Fault = Callable[[Boxed], None]


def struck(kind: str, fault: Fault, *, times: int) -> Suite:
    """The drill's suite in a kind of sandbox; the first `times` first calls of an episode meet a fault."""
    met = [0]

    class Struck(Boxed):
        def call(self, name: str, arguments: Mapping[str, Any]) -> str:
            if met[0] < times and "called" not in self.state:
                met[0] += 1
                fault(self)
            self.state["called"] = True
            return super().call(name, arguments)

    return Suite("boxed", "boxed", Struck, options={"sandbox": kind})


def play(
    suite: Suite, *, agent: Agent | None = None, journal: Journal | None = None, attempts: int = 1
) -> Report:
    chosen, kept = agent or make_agent("oracle"), journal or MemoryJournal()
    config = EvalConfig(tasks=4, workers=2, attempts=attempts)
    return asyncio.run(evaluate([suite], chosen, config=config, journal=kept))


def docker(*words: str, host: str | None = None) -> str:
    named = ["--host", host] if host else []
    ended = subprocess.run(
        ["docker", *named, *words], capture_output=True, text=True, timeout=120, check=True
    )
    return ended.stdout


def kill_bubblewrap(env: Boxed) -> None:
    os.kill(env.box._box.process, signal.SIGKILL)  # type: ignore[attr-defined]


def kill_container(env: Boxed) -> None:
    docker("kill", env.box.container)  # type: ignore[attr-defined]


@pytest.mark.needs("bwrap")
def test_a_sandbox_that_is_killed_is_started_again_on_its_files() -> None:
    journal = MemoryJournal()
    report = play(struck("bwrap", kill_bubblewrap, times=3), journal=journal)
    assert (report.failures, report.missing, report.success.mean) == ({}, 0, 1.0)
    known = journal.recover(0)
    assert known is not None
    said = [turn.observation for tree in known.trees.values() for turn in tree.turns]
    assert said.count("the sandbox died with this command and was started again") == 3


@pytest.mark.needs("docker")
def test_a_container_that_is_killed_from_outside_is_nobodys_failure() -> None:
    report = play(struck("docker", kill_container, times=2))
    assert (report.failures, report.missing, report.success.mean) == ({"sandbox": 2}, 0, 1.0)


class Failing:
    """The oracle, whose model does not answer in the first `times` turns."""

    trainable = False
    wants_oracle = True

    def __init__(self, times: int) -> None:
        self._inner, self._left = make_agent("oracle"), times

    async def act(self, view: View) -> Move:
        if self._left > 0:
            self._left -= 1
            raise ModelFailed("HTTP 500")
        return await self._inner.act(view)


@pytest.mark.needs("docker")
def test_a_killed_container_and_a_failing_model() -> None:
    report = play(struck("docker", kill_container, times=2), agent=Failing(2))
    assert (report.failures, report.missing) == ({"model": 2, "sandbox": 2}, 0)
    assert report.success.mean == 1.0


@pytest.mark.needs("bwrap")
def test_a_killed_sandbox_and_a_full_disk(tmp_path: Path) -> None:
    suite = struck("bwrap", kill_bubblewrap, times=3)
    with Store.create(tmp_path / "run", kind="eval", config={}) as store:

        def fill() -> None:
            ((pages,),) = store._database.rows("PRAGMA page_count")
            pragma(store, f"max_page_count = {pages}")

        with pytest.raises(RunFolderError, match="the disk is full"):
            play(suite, journal=Meddling(store, 4, fill), attempts=8)
    with Store.open(tmp_path / "run") as store:
        report = play(suite, journal=store, attempts=8)
    assert (report.missing, report.success.mean) == (0, 1.0)
    assert set(report.failures) <= {"fork"}, "a replay that met the fault, or where it was met, differs"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Path]:
    """The folder of a daemon of the test's own, which has the image of the sandboxes."""
    if shutil.which("dockerd") is None:
        pytest.skip("there is no dockerd to start a daemon of one's own")
    provider("docker").open(SandboxSpec()).close()
    folder = Path(tempfile.mkdtemp(prefix="engine-"))  # the path of a socket must be short
    start(folder)
    try:
        tags = docker("images", "trace-gym-base", "--format", "{{.Repository}}:{{.Tag}}").split()
        docker("save", "--output", str(tmp_path / "image.tar"), *tags)
        docker("load", "--input", str(tmp_path / "image.tar"), host=address(folder))
        yield folder
    finally:
        subprocess.run([ENGINE, "stop", folder], check=True, timeout=120, capture_output=True)


def start(folder: Path) -> None:
    subprocess.run([ENGINE, "start", folder], check=True, timeout=120, stdout=subprocess.DEVNULL)


def address(folder: Path) -> str:
    return f"unix://{folder}/socket"


@pytest.mark.slow
@pytest.mark.needs("docker")
@pytest.mark.timeout(900)
def test_a_daemon_that_goes_is_nobodys_failure_and_nothing_hangs(engine: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "trace_gym.cli", "eval", f"{halting.__file__}:Halting?sandbox=docker"]
    words += ["--agent", "oracle", "--json", "--workers", "2"]
    environment = {**os.environ, "DOCKER_HOST": address(engine)}
    with subprocess.Popen(
        [*words, "-k", "4", "--out", str(tmp_path / "run")],
        env={**environment, halting.FOLDER: str(tmp_path)},
        stdout=subprocess.PIPE,
    ) as process:
        wait_until(lambda: (tmp_path / halting.HALTED).exists())
        daemon = int((engine / "pid").read_text())
        os.kill(daemon, signal.SIGTERM)
        wait_until(lambda: not alive(daemon))
        (tmp_path / halting.GO_ON).touch()
        said, _ = process.communicate(timeout=300)
    report = json.loads(said)
    assert process.returncode == 0
    assert set(report["failures"]) == {"sandbox"}
    assert report["success"]["mean"] == 1.0, "what was played before counts"
    assert report["missing"] > 0
    assert report["possible"][0] < 1.0, "the rest is told as open"
    start(engine)
    ended = subprocess.run(words, env=environment, capture_output=True, timeout=300, check=True)
    again = json.loads(ended.stdout)
    assert (again["failures"], again["missing"], again["success"]["mean"]) == ({}, 0, 1.0)


@pytest.mark.slow
@pytest.mark.needs("docker")
@pytest.mark.timeout(900)
def test_training_whose_daemon_goes_stops_with_one_sentence_and_is_resumed(
    engine: Path, tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path / "run")]
    changes = (*SMALL, f"suites={halting.__file__}:Halting?sandbox=docker", "run.steps=2", "run.workers=2")
    words = ["train", "guess", *(word for change in changes for word in ("--set", change)), *out]
    environment = {
        **os.environ,
        "DOCKER_HOST": address(engine),
        "TRACE_GYM_CACHE": str(tmp_path / "cache"),
        halting.FOLDER: str(tmp_path),
    }
    command = [sys.executable, "-m", "trace_gym.cli"]
    with subprocess.Popen([*command, *words], env=environment, stderr=subprocess.PIPE) as process:
        wait_until(lambda: (tmp_path / halting.HALTED).exists())
        daemon = int((engine / "pid").read_text())
        os.kill(daemon, signal.SIGTERM)
        wait_until(lambda: not alive(daemon))
        (tmp_path / halting.GO_ON).touch()
        _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    errors = [line for line in said.decode().splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert "Docker" in errors[0]
    assert "demonstrations for the warm start could not be played" in errors[0]
    start(engine)
    resumed = [*command, "train", "--resume", *out]
    subprocess.run(resumed, env=environment, capture_output=True, timeout=300, check=True)
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert_sound(store)
        assert not any(stop is StopReason.INVALID for stop in store.stops())
