"""What a run file holds, as core objects. Leaves out writing."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TypeAlias

from trace_gym.core.budget import Cost
from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, FailureCause, Rollout, StopReason
from trace_gym.core.errors import RunFolderError
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
from trace_gym.core.tree import Anchor, RolloutTree
from trace_gym.store.rows import (
    Row,
    read_candidate,
    read_prediction,
    read_task,
    read_turn,
    read_verdict,
    untext,
)
from trace_gym.store.schema import COST, TURN, VERDICT

Answers: TypeAlias = tuple[Answer, ...]

_GRANT = "number, tree, node, count, reason, propensity"
_EVENT = "number, kind, tree, rollout, node, failed, cause, extent_turns, extent_rollouts"
_SPENT = ", ".join(f"SUM({name})" for name in COST)


def read_recovered(sql: sqlite3.Connection, step: int, *, hidden: str) -> Recovered | None:
    """A step as far as it came; None if it was never opened."""
    if sql.execute("SELECT 1 FROM steps WHERE step = ?", (step,)).fetchone() is None:
        return None
    pool, tasks = read_pool(sql, step)
    trees = {tree.index: tree for tree in read_trees(sql, step, hidden=hidden)}
    return Recovered(step, pool, tasks, read_proposal(sql, step), tuple(read_events(sql, step)), trees)


def read_pool(sql: sqlite3.Connection, step: int) -> tuple[tuple[Candidate, ...], tuple[Task, ...]]:
    """The candidates of a step and their tasks."""
    rows = sql.execute(
        "SELECT c.number, c.task, c.suite, c.family, max_turns, mean, concentration, tokens, turns, record "
        "FROM candidates c JOIN tasks USING (digest) WHERE c.step = ? ORDER BY c.number",
        (step,),
    ).fetchall()
    return tuple(read_candidate(row[:-1]) for row in rows), tuple(read_task(row[-1]) for row in rows)


def read_proposal(sql: sqlite3.Connection, step: int) -> tuple[Grant, ...]:
    """What was granted when the step opened."""
    query = f"SELECT {_GRANT} FROM grants WHERE step = ? AND event IS NULL ORDER BY position"
    shown = _shown(sql, step)
    return tuple(_grant(row, shown) for row in sql.execute(query, (step,)))


def read_events(
    sql: sqlite3.Connection, step: int, *, only: int | None = None
) -> Iterator[tuple[Event, Answers]]:
    """The events of a step in order (or the one numbered `only`), each with its answer."""
    which, values = ("", (step,)) if only is None else (" AND {} = ?", (step, only))
    answers: defaultdict[int, list[tuple[int, Answer]]] = defaultdict(list)
    shown = _shown(sql, step)
    query = f"SELECT event, position, {_GRANT} FROM grants WHERE step = ? AND event IS NOT NULL"
    for event, position, *row in sql.execute(query + which.format("event"), values):
        answers[event].append((position, _grant(tuple(row), shown)))
    query = "SELECT event, position, cancelled FROM cancels WHERE step = ?"
    for event, position, cancelled in sql.execute(query + which.format("event"), values):
        answers[event].append((position, Cancel(cancelled)))
    query = "SELECT event, position, tree, rollout, worth FROM cuts WHERE step = ?"
    if _has(sql, "cuts"):
        for event, position, *cut in sql.execute(query + which.format("event"), values):
            answers[event].append((position, Cut(*cut)))
    predictions: defaultdict[int, dict[int, Row]] = defaultdict(dict)
    query = "SELECT event, node, mean, concentration, tokens, turns FROM predictions WHERE step = ?"
    for event, node, *row in sql.execute(f"{query}{which.format('event')} ORDER BY event, position", values):
        predictions[event][node] = tuple(row)
    query = f"SELECT {_EVENT} FROM events WHERE step = ?{which.format('number')} ORDER BY number"
    for row in sql.execute(query, values).fetchall():
        answer = (item for _, item in sorted(answers[row[0]], key=lambda entry: entry[0]))
        yield _event(row[1:], predictions[row[0]]), tuple(answer)


def _grant(row: Row, shown: Collection[int]) -> Grant:
    number, tree, node, count, reason, propensity = row
    actor = Actor.ORACLE if number in shown else Actor.POLICY
    return Grant(number, Anchor(tree, node), count, untext(reason), propensity, actor)


def _shown(sql: sqlite3.Connection, step: int) -> set[int]:
    """The grants of a step that the oracle plays."""
    if not _has(sql, "shown"):
        return set()
    return {number for (number,) in sql.execute("SELECT number FROM shown WHERE step = ?", (step,))}


def _event(row: Row, predictions: dict[int, Row]) -> Event:
    kind, tree, rollout, node, failed, cause, turns, rollouts = row
    if kind == "failed":
        return GrantFailed(tree, failed, rollout, FailureCause(cause), (turns, rollouts))
    read = ((place, read_prediction(columns)) for place, columns in predictions.items())
    known = {place: prediction for place, prediction in read if prediction is not None}
    if kind == "turn":
        return TurnDone(tree, rollout, node, (turns, rollouts), known)
    return EpisodeDone(tree, rollout, known, (turns, rollouts))


def read_trees(
    sql: sqlite3.Connection, step: int, *, hidden: str, only: int | None = None
) -> list[RolloutTree]:
    """The trees of a step in the order of their index (or the one with index `only`): every committed
    turn, ended rollouts and those in flight. A tree whose root is not yet known has a bare one."""
    which, values = ("", (step,)) if only is None else (" AND {} = ?", (step, only))
    _, tasks = read_pool(sql, step)
    verdicts: defaultdict[tuple[int, int], list[Verdict]] = defaultdict(list)
    query = f"SELECT {', '.join(VERDICT)} FROM verdicts WHERE step = ?{which.format('tree')}"
    for row in sql.execute(f"{query} ORDER BY tree, node, position", values):
        verdicts[row[1], row[2]].append(read_verdict(row))
    trees: dict[int, RolloutTree] = {}
    turns = f"SELECT {', '.join(TURN)} FROM turns WHERE step = ?{which.format('tree')} ORDER BY tree, node"
    for row in sql.execute(turns, values):
        index, node = row[1:3]
        tree = trees.setdefault(index, RolloutTree(index, tasks[index]))
        if node != len(tree.turns):
            raise RunFolderError(f"step {step}, tree {index}: node {len(tree.turns)} is missing")
        seen = tuple(verdicts[index, node])
        tree.turns.append(read_turn(row, seen, siblings=tree.turns, hidden=hidden))
    rollouts = "SELECT tree, number, granted, anchor, stop, failure, detail FROM rollouts WHERE step = ?"
    worths: dict[tuple[int, int], float] = {}
    if _has(sql, "cuts"):
        cuts = f"SELECT tree, rollout, worth FROM cuts WHERE step = ?{which.format('tree')}"
        worths = {(index, number): worth for index, number, worth in sql.execute(cuts, values)}
    tips = {tree.index: {turn.rollout: n for n, turn in enumerate(tree.turns)} for tree in trees.values()}
    for index, number, granted, anchor, *end in sql.execute(
        f"{rollouts}{which.format('tree')} ORDER BY tree, number", values
    ):
        tree = trees.setdefault(index, RolloutTree.planted(index, tasks[index]))
        if number != len(tree.rollouts):
            raise RunFolderError(f"step {step}, tree {index}: rollout {len(tree.rollouts)} is missing")
        tip = tips.get(index, {}).get(number, anchor)
        tree.rollouts.append(_rollout(granted, anchor, tip, tuple(end), worths.get((index, number))))
    return [trees[index] for index in sorted(trees)]


def _rollout(granted: int, anchor: int, tip: int, end: Row, worth: float | None) -> Rollout:
    stop, failure, detail = end
    reason = None if stop is None else StopReason(stop)
    cause = None if failure is None else FailureCause(failure)
    worth = worth if reason is StopReason.CUT else None
    return Rollout(granted, anchor, tip, reason, cause, untext(detail), worth)


def _has(sql: sqlite3.Connection, table: str) -> bool:
    """Is there such a table? Runs of version 2 and before have no cuts, of version 3 and before no grants to
    the oracle."""
    return bool(sql.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone())


def read_ledger(sql: sqlite3.Connection) -> dict[int, Cost]:
    """What every opened step cost, summed by the database: the turns, and one trajectory for every
    rollout that ended with a turn of its own and did not break (as `Rollout.spent` counts)."""
    ledger = dict.fromkeys((step for (step,) in sql.execute("SELECT step FROM steps ORDER BY step")), Cost())
    for step, *sums in sql.execute(f"SELECT step, {_SPENT} FROM turns GROUP BY step"):
        ledger[step] += Cost(*sums)
    played = "SELECT step, COUNT(*) FROM rollouts WHERE stop <> 'invalid' AND tip <> anchor GROUP BY step"
    for step, count in sql.execute(played):
        ledger[step] += Cost(trajectories=count)
    return ledger
