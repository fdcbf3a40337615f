"""The journal of collection in a run file. Leaves out everything about a run that is not a step's collection.

What is written twice is written once: a call that repeats what the file holds changes nothing, one that
contradicts it raises JournalDiverged. So a step may be re-entered from any point.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from trace_gym.core.episode import Actor
from trace_gym.core.errors import JournalDiverged
from trace_gym.core.journal import Recovered
from trace_gym.core.scheduler import (
    Answer,
    Cancel,
    Candidate,
    Cut,
    EpisodeDone,
    Event,
    Grant,
    GrantFailed,
    TurnDone,
)
from trace_gym.core.task import Task
from trace_gym.core.tree import RolloutTree
from trace_gym.store.database import Database
from trace_gym.store.reading import read_events, read_proposal, read_recovered
from trace_gym.store.rows import (
    Row,
    candidate_row,
    dump,
    prediction_row,
    task_row,
    text,
    turn_row,
    verdict_rows,
)
from trace_gym.store.schema import COST, TURN, VERDICT

_TURN = f"INSERT INTO turns VALUES ({', '.join('?' * len(TURN))}) ON CONFLICT DO NOTHING"
_VERDICT = f"INSERT INTO verdicts VALUES ({', '.join('?' * len(VERDICT))})"
_SAME_TURN = tuple(name for name in TURN if name not in COST)


class SqliteJournal:
    """Implements core's Journal: each call is one transaction, committed when it returns.

    `clock` gives seconds since the epoch; `hidden` is the numpy type that hidden states are kept in. Raises
    RunFolderError where the disk or another process stands in the way (nothing is then half written), and
    ValueError for an entry that refers to something never written.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float], hidden: str) -> None:
        self._database = database
        self._clock = clock
        self._hidden = hidden

    def open_step(self, step: int, pool: Sequence[Candidate], tasks: Sequence[Task]) -> None:
        """See `Journal.open_step`."""
        if [candidate.index for candidate in pool] != list(range(len(tasks))):
            raise ValueError(
                f"step {step}: candidates must be numbered 0 to {len(tasks) - 1}, one for each task"
            )
        kept = [task_row(task) for task in tasks]
        candidates = [candidate_row(step, c, row[0]) for c, row in zip(pool, kept, strict=True)]
        with self._database.writing(f"the pool of step {step}") as sql:
            opened = "INSERT INTO steps (step, opened_at) VALUES (?, ?) ON CONFLICT DO NOTHING"
            if not sql.execute(opened, (step, self._clock())).rowcount:
                query = "SELECT * FROM candidates WHERE step = ? ORDER BY number"
                self._same(f"the pool of step {step}", candidates, sql.execute(query, (step,)).fetchall())
                return
            sql.executemany("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", kept)
            sql.executemany("INSERT INTO candidates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", candidates)

    def proposed(self, step: int, grants: Sequence[Grant]) -> None:
        """See `Journal.proposed`."""
        what = f"the proposal of step {step}"
        with self._database.writing(what) as sql:
            known = read_proposal(sql, step)
            if known:
                self._same(what, tuple(grants), known)
                return
            _insert_answer(sql, step, None, grants)

    def planted(self, step: int, tree: RolloutTree) -> None:
        """See `Journal.planted`."""
        self.turned(step, tree, 0)

    def started(self, step: int, tree: RolloutTree, rollout: int) -> None:
        """See `Journal.started`."""
        record, what = tree.rollouts[rollout], f"rollout {rollout} of tree {tree.index}, step {step}"
        place = (step, tree.index, rollout)
        with self._database.writing(what) as sql:
            begun = (
                "INSERT INTO rollouts (step, tree, number, granted, anchor) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING"
            )
            if not sql.execute(begun, (*place, record.grant, record.anchor)).rowcount:
                query = "SELECT granted, anchor FROM rollouts WHERE step = ? AND tree = ? AND number = ?"
                self._same(what, (record.grant, record.anchor), sql.execute(query, place).fetchone())

    def turned(self, step: int, tree: RolloutTree, node: int) -> None:
        """See `Journal.turned`."""
        place, turn = (step, tree.index, node), tree.turns[node]
        what = f"node {node} of tree {tree.index}, step {step}"
        row = turn_row(place, turn, context_of=_context_of(tree, node), hidden=self._hidden)
        verdicts = verdict_rows(place, turn.verdicts)
        with self._database.writing(what) as sql:
            if sql.execute(_TURN, row).rowcount:
                sql.executemany(_VERDICT, verdicts)
                if (span := turn.span) is not None:
                    seen = (self._clock(), span.worker, span.entered, span.acted, span.stepped)
                    sql.execute("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*place, *seen))
                return
            where = "WHERE step = ? AND tree = ? AND node = ?"
            known = sql.execute(f"SELECT {', '.join(_SAME_TURN)} FROM turns {where}", place).fetchone()
            now = tuple(value for name, value in zip(TURN, row, strict=True) if name not in COST)
            self._same(what, now, known)
            query = f"SELECT {', '.join(VERDICT)} FROM verdicts {where} ORDER BY position"
            self._same(f"the verdicts at {what}", verdicts, sql.execute(query, place).fetchall())

    def pictured(self, step: int, tree: RolloutTree, node: int, picture: bytes) -> None:
        """See `Journal.pictured`."""
        with self._database.writing(f"the picture of node {node} of tree {tree.index}, step {step}") as sql:
            row = (step, tree.index, node, picture)
            sql.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)", row)

    def stopped(self, step: int, tree: RolloutTree, rollout: int) -> None:
        """See `Journal.stopped`."""
        record, what = (
            tree.rollouts[rollout],
            f"the end of rollout {rollout} of tree {tree.index}, step {step}",
        )
        if record.stop is None:
            raise ValueError(f"{what} cannot be recorded: it is still running")
        place = (step, tree.index, rollout)
        failure = None if record.failure is None else str(record.failure)
        end = (record.tip, str(record.stop), failure, text(record.detail))
        where = "WHERE step = ? AND tree = ? AND number = ?"
        with self._database.writing(what) as sql:
            update = (
                f"UPDATE rollouts SET tip = ?, stop = ?, failure = ?, detail = ? {where} AND stop IS NULL"
            )
            if sql.execute(update, (*end, *place)).rowcount:
                return
            query = f"SELECT tip, stop, failure, detail FROM rollouts {where}"
            known = sql.execute(query, place).fetchone()
            if known is None:
                raise ValueError(f"{what} does not fit what was recorded before: it never started")
            self._same(what, end, known)

    def observed(self, step: int, event: Event, answer: Sequence[Answer]) -> None:
        """See `Journal.observed`."""
        what = f"{event}, step {step}"
        with self._database.writing(what) as sql:
            added = sql.execute(
                "INSERT INTO events SELECT ?, COALESCE(MAX(number), -1) + 1, ?, ?, ?, ?, ?, ?, ?, ? "
                "FROM events WHERE step = ? ON CONFLICT DO NOTHING RETURNING number",
                (step, *_event_row(event), step),
            ).fetchall()
            if not added:
                known = next(read_events(sql, step, only=_number(sql, step, event)))
                self._same(what, (event, tuple(answer)), known)
                return
            ((number,),) = added
            if not isinstance(event, GrantFailed):
                sql.executemany(
                    "INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (step, number, position, node, *prediction_row(prediction))
                        for position, (node, prediction) in enumerate(event.predictions.items())
                    ],
                )
            _insert_answer(sql, step, number, answer)

    def close_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Journal.close_step`."""
        with self._database.writing(f"the end of step {step}") as sql:
            close = "UPDATE steps SET closed_at = COALESCE(closed_at, ?) WHERE step = ?"
            if not sql.execute(close, (self._clock(), step)).rowcount:
                raise ValueError(f"step {step} cannot be closed: it was never opened")
            insert_metrics(sql, step, metrics)

    def withdraw_step(self, step: int) -> None:
        """Take back a step in which nothing was granted, as if it had never been opened."""
        with self._database.writing(f"the withdrawal of step {step}") as sql:
            sql.execute("DELETE FROM candidates WHERE step = ?", (step,))
            sql.execute("DELETE FROM steps WHERE step = ?", (step,))

    def recover(self, step: int) -> Recovered | None:
        """See `Journal.recover`."""
        with self._database.reading() as sql:
            return read_recovered(sql, step, hidden=self._hidden)

    def _same(self, what: str, now: object, then: object) -> None:
        if now != then:
            raise JournalDiverged(
                f"{what} was recorded before, and differently; the run does not repeat itself"
            )


def insert_metrics(sql: sqlite3.Connection, step: int, metrics: Mapping[str, object]) -> None:
    """Metrics of a step; a name that is there already gets its new value."""
    rows = [(step, name, dump(value)) for name, value in metrics.items()]
    sql.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?)", rows)


def _context_of(tree: RolloutTree, node: int) -> int | None:
    """The first sibling of `node` whose `context_ids` are the same, None where it needs its own."""
    turn = tree.turns[node]
    if not len(turn.context_ids):
        return None
    for other in range(turn.parent + 1, node):
        sibling = tree.turns[other]
        if sibling.parent == turn.parent:
            return other if np.array_equal(sibling.context_ids, turn.context_ids) else None
    return None


def _insert_answer(sql: sqlite3.Connection, step: int, event: int | None, answer: Sequence[Answer]) -> None:
    for position, item in enumerate(answer):
        if isinstance(item, Cancel):
            cancel = (step, event, position, int(item.grant))
            sql.execute("INSERT INTO cancels VALUES (?, ?, ?, ?)", cancel)
        elif isinstance(item, Cut):
            cut = (step, event, position, int(item.tree), int(item.rollout), float(item.worth))
            sql.execute("INSERT INTO cuts VALUES (?, ?, ?, ?, ?, ?)", cut)
        else:
            what = (int(item.anchor.tree), int(item.anchor.node), int(item.count))
            why = (float(item.propensity), text(item.reason))
            row = (step, int(item.number), event, position, *what, *why)
            sql.execute("INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            if item.actor is Actor.ORACLE:
                sql.execute("INSERT INTO shown VALUES (?, ?)", (step, int(item.number)))


def _event_row(event: Event) -> Row:
    """The columns of an event from `kind` to the end."""
    match event:
        case TurnDone():
            return ("turn", event.tree, event.rollout, event.node, None, None, *event.extent)
        case EpisodeDone():
            return ("episode", event.tree, event.rollout, None, None, None, *event.extent)
        case GrantFailed():
            cause = (event.grant, str(event.cause))
            return ("failed", event.tree, event.rollout, None, *cause, *event.extent)


def _number(sql: sqlite3.Connection, step: int, event: Event) -> int:
    """The number of an event that was recorded before."""
    kind, tree, rollout, node, *_ = _event_row(event)
    query = (
        "SELECT number FROM events WHERE step = ? AND kind = ? AND tree = ? AND rollout = ? "
        "AND COALESCE(node, -1) = COALESCE(?, -1)"
    )
    (number,) = sql.execute(query, (step, kind, tree, rollout, node)).fetchone()
    return int(number)
