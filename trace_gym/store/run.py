"""A run's folder: the journal of its steps, and what else is to be known of it.

Leaves out the files that others put beside it: checkpoints are written by the trainer, here is their index.
"""

from __future__ import annotations

import json
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias, get_args

from trace_gym.core.budget import FREE, Cost
from trace_gym.core.errors import BadConfig, RunFolderError
from trace_gym.core.policy import Checkpoint
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.store.database import FILE, Database
from trace_gym.store.export import StoredEpisode, write_jsonl
from trace_gym.store.journal import SqliteJournal, insert_metrics
from trace_gym.store.reading import read_ledger, read_trees
from trace_gym.store.rows import dump, text, untext

Hidden: TypeAlias = Literal["float32", "float16", "none"]
Clock: TypeAlias = Callable[[], float]


class RunStatus(StrEnum):
    """RUNNING is also what a killed run says of itself."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step that was opened; `closed_at` is None until all its rollouts have ended. Seconds since the
    epoch."""

    step: int
    opened_at: float
    closed_at: float | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One message of a run."""

    at: float
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class HeldOutAccess:
    """One use of held-out tasks."""

    at: float
    suite: str
    tasks: tuple[str, ...]
    purpose: str


class Store(SqliteJournal):
    """One run = one folder with one SQLite file; implements core's Journal. A context manager.

    One process writes, any number may read meanwhile (`open(folder, read_only=True)`). What is durable
    when is told in `store.database`. To be used from one thread.
    """

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self.folder = database.folder
        facts = {name: json.loads(value) for name, value in database.rows("SELECT name, value FROM meta")}
        self.kind: str = facts["kind"]
        self.config: dict[str, Any] = facts["config"]
        super().__init__(database, clock=clock, hidden=facts["hidden"])

    @classmethod
    def create(
        cls,
        folder: Path | str,
        *,
        kind: str,
        config: Mapping[str, Any],
        exist_ok: bool = False,
        hidden: Hidden = "float32",
        clock: Clock = time.time,
    ) -> Store:
        """Make a run of `kind` (train, eval, ...) with the JSON data `config`.

        The folder must be new or empty. With `exist_ok` it may hold other files, and a run of the same
        kind and config that it holds is opened instead. `hidden`: how hidden states are kept; `float32`
        brings them back exactly, `float16` in half the space. Raises RunFolderError; nothing is ever
        overwritten.
        """
        if hidden not in get_args(Hidden):
            raise ValueError(f"hidden must be one of {', '.join(get_args(Hidden))}, got {hidden!r}")
        facts = {"kind": kind, "config": dict(config), "hidden": hidden, "status": RunStatus.RUNNING}
        made_by = {"trace_gym": version("trace-gym"), "created_at": clock()}
        meta = {name: dump(value) for name, value in {**facts, **made_by}.items()}
        if exist_ok and (Path(folder) / FILE).exists():
            store = cls.open(folder, clock=clock)
            if (store.kind, store.config) == (kind, json.loads(meta["config"])):
                return store
            store.close()
            raise RunFolderError(
                f"run folder {folder} holds a run with another configuration; choose another"
            )
        return cls(Database.create(Path(folder), meta, exist_ok=exist_ok), clock=clock)

    @classmethod
    def open(cls, folder: Path | str, *, read_only: bool = False, clock: Clock = time.time) -> Store:
        """Open the run in `folder`. Raises RunFolderError if there is none, if another process is writing
        it, or if another version of trace-gym made it."""
        return cls(Database.open(Path(folder), read_only=read_only), clock=clock)

    @staticmethod
    def being_written(folder: Path) -> bool:
        """Is a process at work on the run in `folder`? Where none is, a run that says RUNNING was cut off."""
        return Database.held(folder)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder. Idempotent."""
        self._database.close()

    # Facts of the run.

    @property
    def status(self) -> RunStatus:
        """How the run stands."""
        return RunStatus(self.fact("status"))

    def set_status(self, status: RunStatus) -> None:
        """Say how the run stands."""
        self.set_fact("status", status)

    def note_end(self, error: type[BaseException] | None, *_: object) -> None:
        """Say how a run ended that an exception ended; for `ExitStack.push`. What stopped it may also be what
        keeps this from being written."""
        if error is not None:
            stopped = issubclass(error, KeyboardInterrupt | CancelledError)
            with suppress(RunFolderError):
                self.set_status(RunStatus.INTERRUPTED if stopped else RunStatus.FAILED)

    def fact(self, name: str) -> Any:
        """A fact of the run (JSON data), None if it was never set. Always there: kind, config, hidden,
        status, created_at, trace_gym (the version that made it)."""
        found = self._database.rows("SELECT value FROM meta WHERE name = ?", (name,))
        return json.loads(found[0][0]) if found else None

    def set_fact(self, name: str, value: object) -> None:
        """Set a fact, such as the seeds in use. What `create` laid down stays."""
        if name in ("kind", "config", "hidden", "created_at", "trace_gym"):
            raise ValueError(f"the fact {name!r} of a run is set when it is created and stays")
        with self._database.writing(f"the fact {name!r}") as sql:
            sql.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, dump(value)))

    def log(self, level: str, message: str) -> None:
        """Keep a message of the run."""
        with self._database.writing("a log line") as sql:
            row = (self._clock(), level, text(message))
            sql.execute("INSERT INTO log (at, level, message) VALUES (?, ?, ?)", row)

    def log_lines(self) -> list[LogLine]:
        """The run's messages in order."""
        rows = self._database.rows("SELECT at, level, message FROM log ORDER BY number")
        return [LogLine(at, level, untext(message)) for at, level, message in rows]

    def record_access(self, suite: str, tasks: Sequence[str], *, purpose: str) -> None:
        """Keep that held-out tasks (by their keys) were used, and what for."""
        with self._database.writing("an access to held-out tasks") as sql:
            row = (self._clock(), suite, dump(list(tasks)), text(purpose))
            sql.execute("INSERT INTO accesses (at, suite, tasks, purpose) VALUES (?, ?, ?, ?)", row)

    def accesses(self) -> list[HeldOutAccess]:
        """Every use of held-out tasks, in order."""
        rows = self._database.rows("SELECT at, suite, tasks, purpose FROM accesses ORDER BY number")
        return [
            HeldOutAccess(at, suite, tuple(json.loads(keys)), untext(why)) for at, suite, keys, why in rows
        ]

    # Checkpoints and metrics.

    def record_checkpoint(self, checkpoint: Checkpoint, *, step: int) -> None:
        """Index a checkpoint that lies complete on the disk: the weights after `step`. A version that was
        made again after a crash takes the place of the first."""
        path, home = checkpoint.path.absolute(), self.folder.absolute()
        path = path.relative_to(home) if path.is_relative_to(home) else path
        with self._database.writing("a checkpoint") as sql:
            row = (checkpoint.version, step, str(path), self._clock())
            sql.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", row)

    def checkpoints(self) -> list[tuple[int, Checkpoint]]:
        """(step, checkpoint) in the order of versions; the last is where a resumed run starts."""
        rows = self._database.rows("SELECT step, path, version FROM checkpoints ORDER BY version")
        return [(step, Checkpoint(self.folder / path, number)) for step, path, number in rows]

    def next_step(self) -> int:
        """The step that a resumed run goes on with: the one after that of its newest checkpoint."""
        saved = self.checkpoints()
        return saved[-1][0] + 1 if saved else 0

    def record_metrics(self, step: int, metrics: Mapping[str, object]) -> None:
        """Keep metrics (JSON data by name) of a step, beside those of `close_step`; a new value replaces."""
        with self._database.writing(f"the metrics of step {step}") as sql:
            insert_metrics(sql, step, metrics)

    def metrics(self, step: int) -> dict[str, Any]:
        """A step's metrics by name."""
        rows = self._database.rows("SELECT name, value FROM metrics WHERE step = ? ORDER BY name", (step,))
        return {name: json.loads(value) for name, value in rows}

    # What was played.

    def steps(self) -> list[StepRecord]:
        """Every step that was opened, in order."""
        return [StepRecord(*row) for row in self._database.rows("SELECT * FROM steps ORDER BY step")]

    def forest(self, step: int) -> Forest:
        """The trees of a step exactly as they were recorded; none for a step that was never opened."""
        with self._database.reading() as sql:
            return Forest(step, read_trees(sql, step, hidden=self._hidden))

    def played(self, step: int) -> dict[str, int]:
        """The tasks of a step that were played: their keys, and the indices of their trees."""
        query = "SELECT task, tree FROM trees WHERE step = ? ORDER BY tree"
        return {untext(task): tree for task, tree in self._database.rows(query, (step,))}

    def tree(self, step: int, index: int) -> RolloutTree:
        """One tree of a step. Raises BadConfig if it holds none with that index."""
        with self._database.reading() as sql:
            found = read_trees(sql, step, hidden=self._hidden, only=index)
        if not found:
            raise BadConfig(f"step {step} of the run in {self.folder} has no tree {index}")
        return found[0]

    def episodes(self, step: int | None = None) -> Iterator[StoredEpisode]:
        """Every ended rollout of a step, or of the whole run, tree by tree."""
        where, values = ("", ()) if step is None else (" WHERE step = ?", (step,))
        query = f"SELECT DISTINCT step, tree FROM rollouts{where} ORDER BY step, tree"
        for at, index in self._database.rows(query, values):
            tree = self.tree(at, index)
            for number, record in enumerate(tree.rollouts):
                if record.stop is not None:
                    nodes = (0, *tree.path(record.tip))
                    place = (at, index, number, record.grant, record.anchor, nodes)
                    yield StoredEpisode(*place, tree.episode(number))

    def export_jsonl(self, stream: TextIO, *, step: int | None = None) -> int:
        """Write `episodes(step)` as JSON lines; returns how many."""
        return write_jsonl(self.episodes(step), stream)

    def stops(self) -> dict[str, int]:
        """How many rollouts ended for which reason, and how many are `running`."""
        query = "SELECT COALESCE(stop, 'running'), COUNT(*) FROM rollouts GROUP BY stop ORDER BY stop"
        return dict(self._database.rows(query))

    def ledger(self) -> dict[int, Cost]:
        """What every opened step cost, summed by the database."""
        with self._database.reading() as sql:
            return read_ledger(sql)

    def cost(self) -> Cost:
        """What the run cost so far."""
        return sum(self.ledger().values(), FREE)
