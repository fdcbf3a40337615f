"""What the viewer asks of a run's file, as JSON data. Reads only, a connection per question, so that it may
be asked from any thread while the run goes on.

Leaves out turns as core objects (`store.reading`) and everything that writes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trace_gym.core.errors import RunFolderError, boundary
from trace_gym.store import FILE, Store

STANDING = """
  SELECT r.step AS step, r.tree AS tree, r.number AS number, r.stop AS stop, r.failure AS failure,
    r.anchor AS anchor, CASE
      WHEN r.stop IS NULL OR r.stop IN ('invalid', 'shown', 'censored', 'cancelled') THEN NULL
      WHEN r.tip IS NULL THEN NULL
      ELSE (SELECT CASE
              WHEN SUM(v.status = 'fail') > 0 THEN 0
              WHEN COUNT(*) > 0 AND SUM(v.status = 'pass') = COUNT(*) THEN 1
              WHEN r.stop = 'terminated' THEN NULL ELSE 0 END
            FROM verdicts v
            WHERE v.step = r.step AND v.tree = r.tree AND v.node = r.tip AND v.required) END AS success
  FROM rollouts r WHERE r.step = ?
"""
"""The rollouts of a step with their outcome: 1, 0, or NULL where it does not count."""

MOST_POINTS = 300
"""Points of a curve; more cannot be told apart on a screen."""

_NOTHING = {"tokens": 0, "model_seconds": 0.0, "env_seconds": 0.0, "usd": 0.0}


@dataclass(slots=True)
class StepTally:
    """What became of a step's tasks, by tree."""

    closed: bool
    trees: dict[int, dict[str, Any]] = field(default_factory=dict)


class RunFile:
    """One run. Invariant: `_tallies` and `workers` keep closed steps only, which never change again."""

    def __init__(self, folder: Path) -> None:
        """Raises RunFolderError where `folder` holds no run of this version."""
        with Store.open(folder, read_only=True) as store:
            self.kind = store.kind
            self.config = store.config
        self.folder = folder
        self._tallies: dict[int, StepTally] = {}
        self.workers: dict[int, list[dict[str, Any]]] = {}

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write. Raises RunFolderError."""
        address = f"{(self.folder / FILE).absolute().as_uri()}?mode=ro"
        with boundary(RunFolderError, sqlite3.Error, what=f"run {self.folder} cannot be read"):
            sql = sqlite3.connect(address, uri=True, timeout=10.0)
            with closing(sql):
                sql.row_factory = sqlite3.Row
                yield sql

    def head(self) -> dict[str, Any]:
        """Name, kind, status and how far it has come; cheap, asked again and again while a run goes on."""
        with self.reading() as sql:
            facts = {row["name"]: json.loads(row["value"]) for row in sql.execute("SELECT * FROM meta")}
            steps = sql.execute("SELECT COUNT(*), COUNT(closed_at), MAX(closed_at) FROM steps").fetchone()
            rollouts = sql.execute("SELECT COUNT(*) FROM rollouts").fetchone()[0]
        return {
            "name": self.folder.name,
            "kind": facts["kind"],
            "status": facts["status"],
            "created_at": facts["created_at"],
            "version": facts["trace_gym"],
            "steps": steps[0],
            "closed": steps[1],
            "last_at": steps[2],
            "rollouts": rollouts,
        }

    def overview(self) -> dict[str, Any]:
        """The head, the configuration, the numeric metrics by step, checkpoints, held-out accesses, log.

        Of a long run every `stride`-th step and the last are told, which is what a curve can show.
        """
        with self.reading() as sql:
            series: dict[str, list[list[float]]] = {}
            reports: dict[str, Any] = {}
            measured = [row[0] for row in sql.execute("SELECT DISTINCT step FROM metrics ORDER BY step")]
            stride = -(-len(measured) // MOST_POINTS) or 1
            shown = sorted({*measured[::stride], *measured[-1:]})
            marks = ", ".join("?" * len(shown))
            query = f"SELECT step, name, value FROM metrics WHERE step IN ({marks}) ORDER BY step"
            for row in sql.execute(query, shown):
                value = json.loads(row["value"])
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    reports[row["name"]] = value
                else:
                    series.setdefault(row["name"], []).append([row["step"], value])
            steps = [dict(row) for row in sql.execute("SELECT * FROM steps ORDER BY step DESC LIMIT 100")]
            tokens = "SELECT SUM(CAST(value AS REAL)) FROM metrics WHERE name = 'tokens_sampled'"
            sampled = sql.execute(tokens).fetchone()[0]
            checkpoints = [dict(row) for row in sql.execute("SELECT * FROM checkpoints ORDER BY version")]
            log = [dict(row) for row in sql.execute("SELECT * FROM log ORDER BY number DESC LIMIT 500")]
            accesses = [
                {**dict(row), "tasks": len(json.loads(row["tasks"]))}
                for row in sql.execute("SELECT at, suite, tasks, purpose FROM accesses ORDER BY number")
            ]
        return {
            "head": self.head(),
            "config": self.config,
            "series": series,
            "stride": stride,
            "tokens_sampled": sampled,
            "reports": reports,
            "steps": steps[::-1],
            "checkpoints": checkpoints,
            "accesses": accesses,
            "log": log[::-1],
        }

    def spending(self, step: int | None = None) -> dict[str, Any]:
        """Where the budget went: sampled tokens, seconds and trajectories by suite and by roots and forks, of
        a step or of the whole run."""
        where, values = ("WHERE r.step = ?", (step,)) if step is not None else ("", ())
        bought = "candidates c ON c.step = r.step AND c.number = r.tree"
        played = f"""
          SELECT c.suite AS suite, r.anchor > 0 AS fork, COUNT(*) AS rollouts
          FROM rollouts r JOIN {bought} {where} GROUP BY c.suite, r.anchor > 0 ORDER BY c.suite, fork"""
        spent = f"""
          SELECT c.suite AS suite, r.anchor > 0 AS fork, SUM(t.decoded) AS tokens,
            SUM(t.model_seconds) AS model_seconds, SUM(t.env_seconds) AS env_seconds, SUM(t.usd) AS usd
          FROM turns t JOIN rollouts r ON r.step = t.step AND r.tree = t.tree AND r.number = t.rollout
          JOIN {bought} {where} GROUP BY c.suite, r.anchor > 0"""
        with self.reading() as sql:
            costs = {(row["suite"], row["fork"]): dict(row) for row in sql.execute(spent, values)}
            rows = [
                {**dict(row), **costs.get((row["suite"], row["fork"]), _NOTHING)}
                for row in sql.execute(played, values)
            ]
        return {"rows": [{**row, "fork": bool(row["fork"])} for row in rows]}

    def tally(self, sql: sqlite3.Connection, step: int) -> StepTally:
        """What became of a step, from memory once it is closed."""
        if step in self._tallies:
            return self._tallies[step]
        closed = sql.execute("SELECT closed_at FROM steps WHERE step = ?", (step,)).fetchone()
        tally = StepTally(closed is not None and closed[0] is not None)
        for row in sql.execute(STANDING, (step,)):
            tree = tally.trees.setdefault(
                row["tree"],
                {"rollouts": 0, "forks": 0, "scored": 0, "successes": 0, "invalid": 0, "running": 0},
            )
            tree["rollouts"] += 1
            tree["forks"] += row["anchor"] > 0
            tree["invalid"] += row["stop"] == "invalid"
            tree["running"] += row["stop"] is None
            if row["success"] is not None:
                tree["scored"] += 1
                tree["successes"] += row["success"]
        if tally.closed:
            self._tallies[step] = tally
        return tally

    def steps(self, sql: sqlite3.Connection) -> list[int]:
        """Every opened step."""
        return [row[0] for row in sql.execute("SELECT step FROM steps ORDER BY step")]


def ordered(rows: list[dict[str, Any]], sort: str, *, down: bool) -> list[dict[str, Any]]:
    """Rows by a column, those without a value last; equal ones stay as they were."""
    known = [row for row in rows if row.get(sort) is not None]
    known.sort(key=lambda row: row[sort], reverse=down)
    return known + [row for row in rows if row.get(sort) is None]


def share(row: Mapping[str, Any]) -> float | None:
    """Successes among what was scored; None where nothing was."""
    return row["successes"] / row["scored"] if row["scored"] else None
