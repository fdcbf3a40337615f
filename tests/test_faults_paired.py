"""Faults injected in pairs: of the storage with one of those who play, and some that meet by nature.

Whatever the pair, the run is resumed and ends sound: every grant is settled once, the ledger adds up, and
what broke is invalid, never a failure of the agent.
"""

import gc
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest

from tests.loop_files.faults import Buggy, Failing, Meddling, broken, facts, failing, play, pragma
from tests.loop_files.runs import SMALL, Listening, assert_sound
from trace_gym.assemble import train
from trace_gym.config import load
from trace_gym.core.errors import RunFolderError, TraceGymError
from trace_gym.core.journal import Journal
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.registry import suite
from trace_gym.evaluate import Report
from trace_gym.store import FILE, RunStatus, Store
from trace_gym.testing import Crashed, CrashingJournal, MemoryJournal

Storage: TypeAlias = Literal["full", "locked", "killed", "clock"]
STOPS: dict[Storage, type[BaseException]] = {
    "full": RunFolderError,
    "locked": RunFolderError,
    "killed": Crashed,
}


@pytest.fixture(autouse=True, scope="module")
def swept():
    """See `test_faults`."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return facts(play(MemoryJournal()))


@contextmanager
def afflicted(storage: Storage, folder: Path, *, at: int) -> Iterator[Journal]:
    """The run in `folder`, made where there is none, whose storage fails at its write number `at`."""
    jumps = chain([1e9, 5.0, 4e9, -1.0], repeat(7.0)) if storage == "clock" else repeat(1e9)
    with ExitStack() as stack:
        made = (folder / FILE).exists()

        def clock() -> float:
            return next(jumps)

        store = stack.enter_context(
            Store.open(folder, clock=clock)
            if made
            else Store.create(folder, kind="eval", config={}, clock=clock)
        )

        def fill() -> None:
            ((pages,),) = store._database.rows("PRAGMA page_count")
            pragma(store, f"max_page_count = {pages}")

        def lock() -> None:
            pragma(store, "busy_timeout = 50")
            other = stack.enter_context(closing(sqlite3.connect(folder / FILE, isolation_level=None)))
            other.execute("BEGIN IMMEDIATE")

        match storage:
            case "full":
                yield Meddling(store, at, fill)
            case "locked":
                yield Meddling(store, at, lock)
            case "killed":
                yield CrashingJournal(store, at=at)
            case "clock":
                yield store


def twice(folder: Path, storage: Storage, at: int, playing: Callable[[Journal], Report]) -> Report:
    """Play until the storage stops it, then to the end; the finished run is sound."""
    with afflicted(storage, folder, at=at) as journal:
        if storage in STOPS:
            with pytest.raises(STOPS[storage]):
                playing(journal)
        else:
            playing(journal)
    with Store.open(folder) as store:
        report = playing(store)
        store.set_status(RunStatus.FINISHED)
    with Store.open(folder, read_only=True) as store:
        assert_sound(store)
    assert (report.missing, report.censored, report.undecided) == (0, 0, 0)
    assert report.success.clusters == 6
    return report


@pytest.mark.parametrize("storage", ["full", "locked", "killed", "clock"])
def test_a_broken_environment_and_a_broken_storage(storage: Storage, tmp_path: Path) -> None:
    faulty = failing("faulty", broken, times=3)
    report = twice(tmp_path / "run", storage, 35, lambda journal: play(journal, suites=[faulty]))
    assert set(report.failures) == {"environment"}
    assert 1 <= report.failures["environment"] <= 3


@pytest.mark.parametrize("storage", ["full", "locked", "killed", "clock"])
def test_a_failing_model_and_a_broken_storage(storage: Storage, tmp_path: Path) -> None:
    agent = Failing(3)
    report = twice(tmp_path / "run", storage, 35, lambda journal: play(journal, agent=agent))
    assert set(report.failures) == {"model"}
    assert 1 <= report.failures["model"] <= 3


@pytest.mark.parametrize("storage", ["full", "locked", "killed"])
def test_a_replay_that_differs_after_the_storage_broke(storage: Storage, tmp_path: Path) -> None:
    def drift(env: AgenticEnv) -> None:
        env.state.append(-1)

    drifting, plain = failing("drifting", drift, times=10**6), suite("guess")
    suites = iter([plain, drifting])
    report = twice(tmp_path / "run", storage, 40, lambda journal: play(journal, suites=[next(suites)]))
    assert set(report.failures) <= {"fork"}, "what was in flight is played anew, where it had come so far"


@pytest.mark.parametrize("storage", ["full", "locked", "killed", "clock"])
def test_an_interrupted_run_whose_storage_then_breaks(
    storage: Storage, whole: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with Store.create(folder, kind="eval", config={}) as store, pytest.raises(KeyboardInterrupt):
        play(store, agent=Buggy(12, KeyboardInterrupt))
    report = twice(folder, storage, 4, play)
    assert facts(report) == whole


@pytest.mark.parametrize(
    ("first", "second"), [("full", "locked"), ("locked", "killed"), ("killed", "full"), ("killed", "clock")]
)
def test_a_storage_that_breaks_again_when_the_run_is_resumed(
    first: Storage, second: Storage, whole: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with afflicted(first, folder, at=30) as journal, pytest.raises(STOPS[first]):
        play(journal)
    assert facts(twice(folder, second, 4, play)) == whole


def test_a_broken_environment_and_a_failing_model(tmp_path: Path) -> None:
    faulty, agent = failing("faulty", broken, times=3), Failing(3)
    report = play(MemoryJournal(), suites=[faulty], agent=agent)
    assert report.failures == {"environment": 3, "model": 3}
    assert report.missing == 0


def test_a_damaged_checkpoint_of_a_run_that_was_killed_is_named_and_costs_only_what_it_held(
    tmp_path: Path,
) -> None:
    config = load("guess", (*SMALL, "run.steps=2"))
    folder = tmp_path / "run"
    train(config, folder, narrator=Listening(), cache=tmp_path / "cache")
    with Store.open(folder) as store:
        _, checkpoint = store.checkpoints()[-1]
        store.set_status(RunStatus.RUNNING)
    weights = checkpoint.path / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:200])
    with pytest.raises(TraceGymError, match=checkpoint.path.name):
        train(config, folder, resume=True, narrator=Listening(), cache=tmp_path / "cache")
    weights.write_bytes(content)
    outcome = train(config, folder, resume=True, narrator=Listening(), cache=tmp_path / "cache")
    assert outcome.steps == 2
    with Store.open(folder, read_only=True) as store:
        assert_sound(store)
