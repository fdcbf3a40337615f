"""The run folder: made once, never overwritten, one writer, clear words where it cannot be used."""

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from trace_gym.core.errors import RunFolderError
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.store import FILE, SCHEMA_VERSION, RunStatus, Store
from trace_gym.store.database import LOCK
from trace_gym.store.schema import OLDEST_VERSION, SINCE
from trace_gym.testing import demand_same_tree, grow_forest, grow_tree, record_forest


def make(folder: Path, **config: object) -> Store:
    return Store.create(folder, kind="train", config=config, clock=lambda: 1234.5)


def fill(store: Store, tree: RolloutTree, whole: list[int]) -> None:
    """Write the tree as step 1, 2, ... and note the steps that were written whole."""
    for step in range(1, 100):
        record_forest(store, Forest(step, [tree]))
        whole.append(step)


@contextmanager
def unprivileged() -> Iterator[Path]:
    """A folder that everybody may enter, and no rights to change what is read-only in it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_run_remembers_what_it_was_created_with(tmp_path: Path) -> None:
    with make(tmp_path / "runs" / "a", seed=3, suites=["guess"]) as store:
        assert store.status is RunStatus.RUNNING
        store.set_fact("seeds", {"train": 3})
        store.set_status(RunStatus.FINISHED)
    with Store.open(tmp_path / "runs" / "a") as store:
        assert (store.kind, store.config) == ("train", {"seed": 3, "suites": ["guess"]})
        assert store.status is RunStatus.FINISHED
        assert (store.fact("seeds"), store.fact("created_at"), store.fact("no")) == (
            {"train": 3},
            1234.5,
            None,
        )


def test_what_a_run_was_created_with_stays(tmp_path: Path) -> None:
    with make(tmp_path / "a") as store, pytest.raises(ValueError, match=r"'config'.*stays"):
        store.set_fact("config", {})


def test_an_existing_run_is_never_overwritten(tmp_path: Path) -> None:
    make(tmp_path / "a", seed=1).close()
    before = (tmp_path / "a" / FILE).read_bytes()
    with pytest.raises(RunFolderError, match="holds a run already; resume it or choose another"):
        make(tmp_path / "a", seed=1)
    assert (tmp_path / "a" / FILE).read_bytes() == before


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="exists and is not empty"):
        make(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    with Store.create(tmp_path, kind="eval", config={}, exist_ok=True) as store:
        assert store.kind == "eval"
    assert (tmp_path / "notes.txt").read_text() == "mine"


DYING = """
import os, sys
from pathlib import Path
from trace_gym.core.errors import RunFolderError
from trace_gym.store import FILE, Store

def create(folder):
    return Store.create(folder, kind="train", config={})

def die_at(number):
    seen = [0]
    def hook(event, given):
        if event in ("open", "sqlite3.connect", "os.mkdir", "os.rename", "os.remove"):
            seen[0] += 1
            if seen[0] == number:
                os.kill(os.getpid(), 9)
    sys.addaudithook(hook)

create(Path(sys.argv[1], "warm")).close()
for number in range(1, 100):
    folder = Path(sys.argv[1], str(number))
    child = os.fork()
    if not child:
        die_at(number)
        create(folder).close()
        os._exit(0)
    survived = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with (Store.open(folder) if (folder / FILE).exists() else create(folder)) as store:
        store.set_fact("whole", True)
    left = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("run.lock"))
    assert left == [FILE], left
    if survived:
        print(number)
        break
"""


def test_a_process_that_is_killed_while_it_makes_a_run_leaves_a_whole_run_or_none(tmp_path: Path) -> None:
    words = [sys.executable, "-c", DYING, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert 5 < int(ended.stdout) < 50, "it was killed at so many places"


def test_exist_ok_opens_the_same_run_and_no_other(tmp_path: Path) -> None:
    with make(tmp_path / "a", seed=1) as store:
        store.log("info", "first")
    with Store.create(tmp_path / "a", kind="train", config={"seed": 1}, exist_ok=True) as store:
        assert [line.message for line in store.log_lines()] == ["first"]
    for kind, seed in (("train", 2), ("eval", 1)):
        with pytest.raises(RunFolderError, match="another configuration"):
            Store.create(tmp_path / "a", kind=kind, config={"seed": seed}, exist_ok=True)


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(RunFolderError, match="a is a file"):
        make(tmp_path / "a")
    with pytest.raises(RunFolderError, match="cannot be used: NotADirectoryError"):
        make(tmp_path / "a" / "b")
    with pytest.raises(RunFolderError, match="holds no run"):
        Store.open(tmp_path / "a")


def test_an_unknown_way_to_keep_hidden_states_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float32, float16, none, got 'float8'"):
        Store.create(tmp_path / "a", kind="train", config={}, hidden="float8")  # type: ignore[arg-type]
    assert not (tmp_path / "a").exists()


def test_a_read_only_folder_is_refused_with_a_sentence() -> None:
    with unprivileged() as folder:
        (folder / "run").mkdir(mode=0o555)
        with pytest.raises(RunFolderError, match="see who may read and write there"):
            make(folder / "run")
        assert not any((folder / "run").iterdir())


def test_a_run_that_became_read_only_can_be_read_but_not_written() -> None:
    with unprivileged() as folder:
        with make(folder / "run") as store:
            store.log("info", "kept")
        for file in (folder / "run").iterdir():
            file.chmod(0o444)
        (folder / "run").chmod(0o555)
        with pytest.raises(
            RunFolderError, match=r"cannot be written to; make the folder and its files writable"
        ):
            Store.open(folder / "run").log("info", "more")
        with Store.open(folder / "run", read_only=True) as store:
            assert [line.message for line in store.log_lines()] == ["kept"]
        (folder / "run").chmod(0o755)


def test_a_reader_writes_nothing(tmp_path: Path) -> None:
    make(tmp_path / "a").close()
    reader = Store.open(tmp_path / "a", read_only=True)
    with reader, pytest.raises(RunFolderError, match="cannot be written to"):
        reader.log("info", "no")


def test_one_writer_at_a_time_any_number_of_readers(tmp_path: Path) -> None:
    with make(tmp_path / "a") as writer:
        with pytest.raises(RunFolderError, match="being written by another process"):
            Store.open(tmp_path / "a")
        with (
            Store.open(tmp_path / "a", read_only=True) as one,
            Store.open(tmp_path / "a", read_only=True) as two,
        ):
            writer.log("info", "live")
            assert [store.log_lines()[0].message for store in (one, two)] == ["live", "live"]
    Store.open(tmp_path / "a").close()


def test_whether_a_run_is_written_can_be_asked_by_many_at_once(tmp_path: Path) -> None:
    with make(tmp_path / "a"):
        assert Store.being_written(tmp_path / "a")
    with closing(sqlite3.connect(tmp_path / "a" / LOCK, isolation_level=None)) as asking:
        asking.execute("BEGIN")
        asking.execute("SELECT * FROM sqlite_master").fetchall()
        assert not Store.being_written(tmp_path / "a")


def test_those_who_ask_about_a_run_never_keep_a_writer_out(tmp_path: Path) -> None:
    make(tmp_path / "a").close()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            Store.being_written(tmp_path / "a")

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        for _ in range(200):
            with Store.open(tmp_path / "a"):
                assert Store.being_written(tmp_path / "a")
    finally:
        done.set()
        for thread in asking:
            thread.join()


def test_a_full_disk_refuses_the_run_and_leaves_nothing(tmp_path: Path) -> None:
    with disk_of(10_000), pytest.raises(RunFolderError, match="disk"):
        make(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    make(tmp_path / "a").close()


def test_a_disk_that_fills_loses_only_what_was_refused(tmp_path: Path) -> None:
    tree, whole = grow_tree("0 400 400 400 400 +", context=3000), list[int]()
    with make(tmp_path / "a") as store:
        record_forest(store, grow_forest(["0 1 +"]))
        with disk_of(400_000), pytest.raises(RunFolderError, match=r"disk .*resume"):
            fill(store, tree, whole)
        kept = whole[-1]
        assert kept < 50
        demand_same_tree(store.tree(kept, 0), tree)
        record_forest(store, Forest(kept + 1, [tree]))
    with Store.open(tmp_path / "a") as store:
        assert [entry.step for entry in store.steps()] == list(range(kept + 2))
        for step in range(1, kept + 2):
            demand_same_tree(store.tree(step, 0), tree)


def test_a_run_of_another_schema_says_what_to_do(tmp_path: Path) -> None:
    make(tmp_path / "a").close()
    for found, advice in (
        (SCHEMA_VERSION + 1, "newer .*upgrade"),
        (OLDEST_VERSION - 1, "older .*version that"),
    ):
        with sqlite3.connect(tmp_path / "a" / FILE) as sql:
            sql.execute(f"PRAGMA user_version = {found}")
        sql.close()
        with pytest.raises(
            RunFolderError, match=rf"schema {found}, this one has {SCHEMA_VERSION}"
        ) as refused:
            Store.open(tmp_path / "a")
        refused.match(advice)


def test_a_run_of_an_older_schema_is_read_as_it_is_and_brought_up_to_be_written(tmp_path: Path) -> None:
    forest = grow_forest(["0 3 +", "0 2 -"])
    with make(tmp_path / "a") as store:
        record_forest(store, forest)
    with closing(sqlite3.connect(tmp_path / "a" / FILE)) as sql:
        gone = ("spans", "pictures", "cuts", "shown")
        sql.executescript("".join(f"DROP TABLE {table};" for table in gone) + "PRAGMA user_version = 1")
    with Store.open(tmp_path / "a", read_only=True) as store:
        demand_same_tree(store.tree(0, 0), forest.trees[0])
        assert store._database.rows("PRAGMA user_version") == [(1,)]
    with Store.open(tmp_path / "a") as store:
        assert store._database.rows("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        store.pictured(0, forest.trees[0], 1, b"png")
        demand_same_tree(store.tree(0, 0), forest.trees[0])
    assert sorted(SINCE) == list(range(OLDEST_VERSION + 1, SCHEMA_VERSION + 1))


def test_files_that_are_no_runs_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    with pytest.raises(RunFolderError, match="never finished being made; remove it"):
        Store.open(tmp_path)
    (tmp_path / FILE).write_text("no database at all, but long enough to look like one" * 100)
    with pytest.raises(RunFolderError, match="its database is not one"):
        Store.open(tmp_path)
    (tmp_path / FILE).unlink()
    with sqlite3.connect(tmp_path / FILE) as sql:
        sql.execute("PRAGMA user_version = 1")
    sql.close()
    with pytest.raises(RunFolderError, match="is not a run of trace-gym"):
        Store.open(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = make(tmp_path / "a")
    store.close()
    store.close()
    with pytest.raises(RunFolderError, match="closed"):
        store.log("info", "too late")
