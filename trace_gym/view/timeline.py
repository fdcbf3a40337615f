"""Who played what when, and where the time of a step went: agents' computing, waiting, environments, idling.

Leaves out runs of versions that did not note it: of those it says so.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from trace_gym.core.errors import BadConfig
from trace_gym.view.runfile import RunFile

WINDOW = 1000
"""Turns that one picture of the timeline holds."""

_PARTS = """
  COUNT(*) AS turns, SUM(s.entered + s.stepped) AS environment, SUM(MIN(t.model_seconds, s.acted)) AS model,
  SUM(MAX(0.0, s.acted - t.model_seconds)) AS waiting,
  MIN(s.ended_at - s.entered - s.acted - s.stepped) AS began_at, MAX(s.ended_at) AS ended_at
"""
_TURNS = """
  SELECT s.worker, s.ended_at, s.entered, s.acted, s.stepped, t.model_seconds, t.tree, t.node, t.rollout,
    c.task FROM spans s JOIN turns t USING (step, tree, node)
  JOIN candidates c ON c.step = s.step AND c.number = s.tree
  WHERE s.step = ? ORDER BY s.ended_at LIMIT ? OFFSET ?
"""


def noted(sql: sqlite3.Connection) -> bool:
    """Does the run note who played its turns? Older ones do not."""
    query = "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('spans', 'pictures')"
    return bool(sql.execute(query).fetchone()[0])


def timeline(run: RunFile, step: int | None = None, window: int | None = None) -> dict[str, Any]:
    """The workers of a step (the newest that has any, by default), with the seconds each spent on what, and a
    window of the turns in the order in which they ended (the newest by default).

    A turn is [worker's number, seconds since the step's first turn began, entered, model, waiting, stepped,
    tree, node, rollout, task's number]. Raises BadConfig for a step without turns.
    """
    with run.reading() as sql:
        query = (
            "SELECT step FROM steps s WHERE EXISTS (SELECT 1 FROM spans WHERE step = s.step) ORDER BY step"
        )
        known = [row[0] for row in sql.execute(query)] if noted(sql) else []
        if not known:
            return {"steps": [], "workers": [], "turns": [], "tasks": []}
        at = known[-1] if step is None else step
        if at not in known:
            raise BadConfig(f"run {run.folder.name} has noted no turns of step {at}")
        workers = _workers(run, sql, at)
        total = sum(row["turns"] for row in workers)
        windows = -(-total // WINDOW)
        chosen = windows - 1 if window is None else min(max(window, 0), windows - 1)
        rows = sql.execute(_TURNS, (at, WINDOW, chosen * WINDOW)).fetchall()
    began = min(row["began_at"] for row in workers)
    lasted = max(row["ended_at"] for row in workers) - began
    number = {row["worker"]: place for place, row in enumerate(workers)}
    tasks: dict[str, int] = {}
    turns = [
        [
            number[worker],
            round(ended_at - began - entered - acted - stepped, 5),
            *(round(part, 5) for part in (entered, min(model, acted), max(0.0, acted - model), stepped)),
            *(tree, node, rollout, tasks.setdefault(task, len(tasks))),
        ]
        for worker, ended_at, entered, acted, stepped, model, tree, node, rollout, task in rows
    ]
    return {
        "steps": known,
        "step": at,
        "began_at": began,
        "seconds": lasted,
        "workers": [_told(row, lasted) for row in workers],
        "window": chosen,
        "windows": windows,
        "turns": turns,
        "tasks": list(tasks),
    }


def _workers(run: RunFile, sql: sqlite3.Connection, step: int) -> list[dict[str, Any]]:
    """What each worker of a step did, from memory once the step is closed."""
    if step in run.workers:
        return run.workers[step]
    query = f"SELECT s.worker AS worker, {_PARTS} FROM spans s JOIN turns t USING (step, tree, node) "
    found = sql.execute(f"{query} WHERE s.step = ? GROUP BY s.worker", (step,)).fetchall()
    workers = sorted((dict(row) for row in found), key=lambda row: _natural(row["worker"]))
    if sql.execute("SELECT closed_at FROM steps WHERE step = ?", (step,)).fetchone()[0] is not None:
        run.workers[step] = workers
    return workers


def _told(worker: dict[str, Any], lasted: float) -> dict[str, Any]:
    parts = {name: worker[name] for name in ("worker", "turns", "environment", "model", "waiting")}
    return {**parts, "idle": max(0.0, lasted - sum(list(parts.values())[2:]))}


def _natural(name: str) -> list[Any]:
    """Sorts env-10 after env-9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def seen(run: RunFile, step: int, tree: int, node: int) -> dict[str, Any]:
    """What was noted of one turn beside its record: its span (None: nothing), whether there is a picture."""
    place = (step, tree, node)
    where = "WHERE step = ? AND tree = ? AND node = ?"
    with run.reading() as sql:
        if not noted(sql):
            return {"span": None, "picture": False}
        query = f"SELECT worker, ended_at, entered, acted, stepped FROM spans {where}"
        span = sql.execute(query, place).fetchone()
        drawn = sql.execute(f"SELECT COUNT(*) FROM pictures {where}", place).fetchone()[0]
    return {"span": dict(span) if span else None, "picture": bool(drawn)}


def picture(run: RunFile, step: int, tree: int, node: int) -> bytes:
    """The picture of a turn as a PNG file. Raises BadConfig where there is none."""
    with run.reading() as sql:
        query = "SELECT png FROM pictures WHERE step = ? AND tree = ? AND node = ?"
        found = sql.execute(query, (step, tree, node)).fetchone() if noted(sql) else None
    if found is None:
        raise BadConfig(f"run {run.folder.name} has no picture of turn {node} in tree {tree} of step {step}")
    return bytes(found[0])
