"""One SQLite file in a run folder: made once, written by one process, read by any number.

Durability: write-ahead log with `synchronous=NORMAL`. A commit is handed to the kernel before the call
returns, and the kernel keeps it whatever becomes of the process: `kill -9` at any instant takes back
nothing that was committed, and what was half written is not seen again. Only checkpoints of the log wait
for the disk; a power cut or a crash of the kernel may therefore lose the newest commits (at most those
since the last checkpoint of the log, about 4 MB of them), never the file's consistency and never an older
commit without all newer ones. `FULL` would also close that gap, with a disk flush for every turn.

Leaves out what the tables mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from trace_gym.core.errors import RunFolderError, boundary
from trace_gym.store.schema import APPLICATION_ID, OLDEST_VERSION, SCHEMA_VERSION, SINCE, STATEMENTS

FILE = "run.sqlite"
LOCK = "run.lock"
MAKING = f"{FILE}.making"
ASKING_S = 0.5
"""Whoever asks about a run's lock is done within this."""

_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space, then resume the run",
    sqlite3.SQLITE_READONLY: "it cannot be written to; make the folder and its files writable",
    sqlite3.SQLITE_BUSY: "another process holds its database; wait for it or end it",
    sqlite3.SQLITE_LOCKED: "another process holds its database; wait for it or end it",
    sqlite3.SQLITE_IOERR: "its disk refused to read or write; see whether it is full or broken, then resume",
    sqlite3.SQLITE_CANTOPEN: "its database cannot be opened; see who may read and write there",
    sqlite3.SQLITE_CORRUPT: "its database is damaged; restore it from a copy",
    sqlite3.SQLITE_NOTADB: "its database is not one; restore it from a copy",
}


class Database:
    """An open run file. Lifecycle: made by `create` or `open`, ended by `close`; a writer holds the run's
    lock between the two, which the operating system drops when the process dies."""

    def __init__(
        self, folder: Path, connection: sqlite3.Connection, lock: sqlite3.Connection | None = None
    ) -> None:
        self.folder = folder
        self._connection = connection
        self._lock = lock

    @classmethod
    def create(cls, folder: Path, meta: Mapping[str, str], *, exist_ok: bool) -> Database:
        """Make a run file holding the rows `meta`, all of it or nothing.

        The folder must be new or empty, with `exist_ok` only free of a run. Raises RunFolderError.
        """
        with translated(folder), ExitStack() as undo:
            undo.callback(_vacate, folder, made=_claim(folder, exist_ok=exist_ok))
            lock = undo.enter_context(closing(_locked(folder)))
            undo.callback(_clear, folder, MAKING, LOCK)
            if (folder / FILE).exists():
                raise RunFolderError(f"run folder {folder} holds a run already: another process made it")
            _fill(folder / MAKING, meta)
            (folder / MAKING).replace(folder / FILE)  # there at once, and whole
            undo.callback(_clear, folder, FILE, f"{FILE}-wal", f"{FILE}-shm")
            database = cls(folder, _writing(folder), lock)
            undo.pop_all()
            return database

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False) -> Database:
        """Open what `create` made: to write (one process at a time) or only to read, also while another
        process writes. Raises RunFolderError, also for a file of another schema."""
        with translated(folder):
            if not (folder / FILE).is_file():
                raise RunFolderError(f"run folder {folder} holds no run: there is no {FILE} in it")
            reader = cls._reader(folder)
            with ExitStack() as undo:
                undo.callback(reader.close)
                found = reader._check_schema()
                if read_only:
                    undo.pop_all()
                    return reader
            with ExitStack() as undo:
                writer = cls._writer(folder)
                undo.callback(writer.close)
                writer._bring_up(found)
                undo.pop_all()
            return writer

    @staticmethod
    def held(folder: Path) -> bool:
        """Is a process writing the run in `folder`? The operating system drops its lock when it dies. Any
        number may ask at once: a reader's lock is asked for, which only a writer's stands in the way of."""
        lock = folder / LOCK
        if not lock.is_file():
            return False
        with translated(folder), closing(_connected(lock.resolve(), "mode=ro", timeout=0.0)) as asking:
            try:
                asking.execute("PRAGMA schema_version")
            except sqlite3.OperationalError as error:
                return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        return False

    @classmethod
    def _writer(cls, folder: Path) -> Database:
        with ExitStack() as undo:
            lock = undo.enter_context(closing(_locked(folder)))
            database = cls(folder, _writing(folder), lock)
            undo.pop_all()
        return database

    @classmethod
    def _reader(cls, folder: Path) -> Database:
        """A connection that cannot write. Beside a log SQLite must be able to write its index of it; where it
        cannot and there is no log, nobody is writing, and the file is taken as immutable."""
        file = (folder / FILE).resolve()
        with ExitStack() as undo:
            connection = undo.enter_context(closing(_connected(file, "mode=ro")))
            try:
                connection.execute("PRAGMA schema_version")
            except sqlite3.OperationalError:
                if file.with_name(f"{FILE}-wal").exists():
                    raise
                return cls(folder, _connected(file, "mode=ro&immutable=1"))
            undo.pop_all()
        return cls(folder, connection)

    def _bring_up(self, found: int) -> None:
        """Add what a run of an older version lacks, all of it or nothing."""
        if found == SCHEMA_VERSION:
            return
        with self.writing("bringing the run up to this version") as sql:
            for number in range(found + 1, SCHEMA_VERSION + 1):
                for statement in SINCE[number]:
                    sql.execute(statement)
            sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _check_schema(self) -> int:
        """The version of the file. Raises RunFolderError for one that is not opened."""
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        if application == 0 and found == 0:
            raise RunFolderError(
                f"run folder {self.folder} was never finished being made; remove it and start again"
            )
        if application != APPLICATION_ID:
            raise RunFolderError(f"run folder {self.folder}: {FILE} is not a run of trace-gym")
        if not OLDEST_VERSION <= found <= SCHEMA_VERSION:
            older = found < SCHEMA_VERSION
            advice = "open it with the version that made it" if older else "upgrade trace-gym to open it"
            age = "an older" if older else "a newer"
            raise RunFolderError(
                f"run folder {self.folder} was made by {age} trace-gym "
                f"(schema {found}, this one has {SCHEMA_VERSION}): {advice}"
            )
        return int(found)

    @contextmanager
    def writing(self, what: str) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end, or nothing of it. A row that refers to what was never
        written, or that is there already, is a ValueError; `what` says what was being written."""
        sql = self._connection
        with translated(self.folder):
            try:
                sql.execute("BEGIN IMMEDIATE")
                yield sql
                sql.execute("COMMIT")
            except sqlite3.IntegrityError as error:
                raise ValueError(f"{what} does not fit what was recorded before: {error}") from error
            finally:
                if sql.in_transaction:
                    sql.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A view of one instant, whatever others write meanwhile."""
        sql = self._connection
        with translated(self.folder):
            sql.execute("BEGIN")
            try:
                yield sql
            finally:
                if sql.in_transaction:
                    sql.execute("COMMIT")

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """What one query finds."""
        with translated(self.folder):
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """End it and drop the lock. Idempotent."""
        with translated(self.folder):
            try:
                self._connection.close()
            finally:
                if self._lock is not None:
                    self._lock.close()


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say about a run folder into one clear sentence."""
    with boundary(RunFolderError, OSError, sqlite3.Error, what=f"run folder {folder} cannot be used"):
        try:
            yield
        except sqlite3.DatabaseError as error:
            advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
            if advice is None:
                raise
            raise RunFolderError(f"run folder {folder}: {advice} ({error})") from error


def _connected(file: Path, options: str, *, timeout: float = 10.0) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.as_uri()}?{options}", uri=True, isolation_level=None, timeout=timeout)


def _locked(folder: Path) -> sqlite3.Connection:
    """The run's lock, taken; waits for those who only ask about it. Raises RunFolderError where another
    process holds it."""
    lock = sqlite3.connect(folder / LOCK, isolation_level=None, timeout=ASKING_S)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise RunFolderError(f"run folder {folder} is being written by another process") from error
    return lock


def _writing(folder: Path) -> sqlite3.Connection:
    """A connection that writes the run's file."""
    with ExitStack() as undo:
        sql = sqlite3.connect(folder / FILE, isolation_level=None, timeout=10.0, cached_statements=256)
        undo.callback(sql.close)
        (mode,) = sql.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise RunFolderError(
                f"run folder {folder} lies on a file system without shared memory ({mode} journal); "
                "choose a folder on a local disk"
            )
        sql.execute("PRAGMA synchronous = NORMAL")
        sql.execute("PRAGMA foreign_keys = ON")
        undo.pop_all()
    return sql


def _fill(file: Path, meta: Mapping[str, str]) -> None:
    """Write a new run file, under a name that nobody opens."""
    file.unlink(missing_ok=True)
    with closing(sqlite3.connect(file, isolation_level=None)) as sql:
        sql.execute("PRAGMA journal_mode = MEMORY")
        sql.execute("BEGIN")
        for statement in STATEMENTS:
            sql.execute(statement)
        sql.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        sql.execute("COMMIT")


def vacant(folder: Path) -> bool:
    """Does the folder hold nothing but what a process left that was killed while it made a run?"""
    return all(entry.name.startswith((MAKING, LOCK)) for entry in [*folder.iterdir()])


def _claim(folder: Path, *, exist_ok: bool) -> bool:
    """See that `folder` may become a run folder; returns whether it was made now."""
    if (folder / FILE).exists():
        raise RunFolderError(f"run folder {folder} holds a run already; resume it or choose another folder")
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"run folder {folder} is a file; choose another name")
    if folder.is_dir() and not exist_ok and not vacant(folder):
        raise RunFolderError(f"run folder {folder} exists and is not empty; choose another folder")
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _clear(folder: Path, *names: str) -> None:
    """Take back what was written of a run, by whoever holds its lock."""
    for name in names:
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def _vacate(folder: Path, *, made: bool) -> None:
    if made:
        with suppress(OSError):
            folder.rmdir()
