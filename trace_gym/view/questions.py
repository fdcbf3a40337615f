"""The pages' questions to a run: its tasks, one tree, one turn, and two runs side by side.

Leaves out how a run's file is opened, which is `runfile`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from trace_gym.core.action import Action
from trace_gym.core.errors import BadConfig
from trace_gym.store.rows import read_action
from trace_gym.view.runfile import RunFile, ordered, share

PAGE = 200
_TOLD = (
    *("node", "parent", "rollout", "actor", "policy_version", "reward", "terminated", "truncated"),
    *("fresh", "cached", "decoded", "model_seconds", "env_seconds", "usd", "action", "text", "observation"),
)


def tasks(
    run: RunFile,
    *,
    search: str = "",
    suite: str = "",
    outcome: str = "",
    sort: str = "step",
    down: bool = False,
    page: int = 0,
    step: int | None = None,
) -> dict[str, Any]:
    """One page of the trees that were played, a row each: task, step, predicted and found success, rollouts.

    `search` looks into task keys; `outcome` is mixed, solved, failed or invalid; `page` counts from 0.
    """
    rows: list[dict[str, Any]] = []
    with run.reading() as sql:
        for at in run.steps(sql) if step is None else [step]:
            tally = run.tally(sql, at)
            named = sql.execute(
                "SELECT number, task, suite, family, mean FROM candidates WHERE step = ?", (at,)
            ).fetchall()
            for row in named:
                found = tally.trees.get(row["number"])
                if found is None:
                    continue
                told = {"step": at, "tree": row["number"], "task": row["task"], "suite": row["suite"]}
                told |= {"family": row["family"], "predicted": row["mean"], **found, "success": share(found)}
                rows.append(told)
    suites = sorted({row["suite"] for row in rows})
    kept = [row for row in rows if _fits(row, search.lower(), suite, outcome)]
    kept = ordered(kept, sort, down=down)
    return {"rows": kept[page * PAGE : (page + 1) * PAGE], "total": len(kept), "page": page, "suites": suites}


def _fits(row: dict[str, Any], search: str, suite: str, outcome: str) -> bool:
    if search and search not in row["task"].lower():
        return False
    if suite and suite != row["suite"]:
        return False
    success: float | None = row["success"]
    match outcome:
        case "mixed":
            return success is not None and 0 < success < 1
        case "solved":
            return success == 1
        case "failed":
            return success == 0
        case "invalid":
            return bool(row["invalid"])
        case _:
            return True


def tree(run: RunFile, step: int, index: int) -> dict[str, Any]:
    """One rollout tree: its nodes without their long texts, its rollouts, the grants that they are of, the
    predictions. Every query goes by an index: a step may hold a hundred thousand rollouts.

    Raises BadConfig where there is none.
    """
    place = (step, index)
    with run.reading() as sql:
        candidate = sql.execute(
            "SELECT task, suite, family, max_turns, mean, concentration FROM candidates "
            "WHERE step = ? AND number = ?",
            place,
        ).fetchone()
        nodes = sql.execute(
            "SELECT node, parent, rollout, actor, reward, terminated, truncated, decoded, fresh, cached, "
            "model_seconds, env_seconds, usd, action, substr(text, 1, 200) AS text "
            "FROM turns WHERE step = ? AND tree = ? ORDER BY node",
            place,
        ).fetchall()
        if candidate is None or not nodes:
            raise BadConfig(f"run {run.folder.name} has no tree {index} in step {step}")
        verdicts: dict[int, list[list[Any]]] = {}
        for row in sql.execute(
            "SELECT node, name, status, score, required FROM verdicts WHERE step = ? AND tree = ? "
            "ORDER BY node, position",
            place,
        ):
            told = [row["name"], row["status"], row["score"], bool(row["required"])]
            verdicts.setdefault(row["node"], []).append(told)
        rollouts = sql.execute(
            "SELECT number, granted, anchor, tip, stop, failure, detail FROM rollouts "
            "WHERE step = ? AND tree = ? ORDER BY number",
            place,
        ).fetchall()
        grants = sql.execute(
            "SELECT number, event, node, count, propensity, reason FROM grants WHERE step = ? AND number IN "
            "(SELECT granted FROM rollouts WHERE step = ? AND tree = ?) ORDER BY number",
            (step, *place),
        ).fetchall()
        predicted = {
            row["node"]: row["mean"]
            for row in sql.execute(
                "SELECT p.node, p.mean FROM events e CROSS JOIN predictions p "
                "ON p.step = e.step AND p.event = e.number WHERE e.step = ? AND e.kind = 'episode' "
                "AND e.tree = ? AND e.rollout IS NOT NULL ORDER BY p.event DESC",
                place,
            )
        }
    told_rollouts = [dict(row) for row in rollouts]
    for rollout in told_rollouts:
        rollout["success"] = _success(rollout["stop"], verdicts.get(rollout["tip"], []))
    return {
        "step": step,
        "tree": index,
        **dict(candidate),
        "nodes": [
            {
                **{name: row[name] for name in row.keys() if name not in ("action", "text")},  # noqa: SIM118
                "said": _said(row["action"], _text(row["text"])),
                "verdicts": verdicts.get(row["node"], []),
                "predicted": predicted.get(row["node"]),
            }
            for row in nodes
        ],
        "rollouts": told_rollouts,
        "grants": [dict(row) for row in grants],
    }


def _action(record: str | None) -> Action | None:
    """The action as the store keeps it."""
    return read_action(record) if record else None


def _said(record: str | None, text: str) -> str:
    """The action in one short line."""
    action = _action(record)
    if action is None:
        return text
    if action.calls:
        calls = (f"{c.name}({', '.join(map(_brief, c.arguments.values()))})" for c in action.calls)
        return "; ".join(calls)[:200]
    return (f"“{action.message}”" if action.message is not None else f"not understood: {action.error}")[:200]


def _brief(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:80]


def _success(stop: str | None, verdicts: list[list[Any]]) -> bool | None:
    if stop in (None, "invalid", "shown", "censored", "cancelled"):
        return None
    required = [status for _, status, _, required in verdicts if required]
    if "fail" in required:
        return False
    decided = bool(required) and all(status == "pass" for status in required)
    return None if not decided and stop == "terminated" else decided


def turn(run: RunFile, step: int, index: int, node: int) -> dict[str, Any]:
    """One turn in full: texts, action, verdicts with evidence, sampled tokens with their log-probabilities.

    Raises BadConfig where there is none.
    """
    place = (step, index, node)
    with run.reading() as sql:
        row = sql.execute(
            f"SELECT {', '.join(_TOLD)}, action_ids, logprobs, entropy FROM turns "
            "WHERE step = ? AND tree = ? AND node = ?",
            place,
        ).fetchone()
        if row is None:
            raise BadConfig(f"run {run.folder.name} has no turn {node} in tree {index} of step {step}")
        verdicts = [
            {**dict(found), "required": bool(found["required"])}
            for found in sql.execute(
                "SELECT name, status, score, weight, required, evidence FROM verdicts "
                "WHERE step = ? AND tree = ? AND node = ? ORDER BY position",
                place,
            )
        ]
    told = {name: _text(row[name]) for name in _TOLD}
    told["action"] = action.json() if (action := _action(told["action"])) else None
    told["tokens"] = {
        "ids": np.frombuffer(row["action_ids"], dtype="<i4").tolist(),
        "logprobs": np.frombuffer(row["logprobs"], dtype="<f4").round(4).tolist(),
        "entropy": np.frombuffer(row["entropy"], dtype="<f4").round(4).tolist(),
    }
    return {**told, "verdicts": verdicts}


def compare(one: RunFile, other: RunFile) -> dict[str, Any]:
    """Two runs side by side: the tasks that both played, with the success of each, those that differ most
    first."""
    sides = [_by_task(run) for run in (one, other)]
    shared = sorted(sides[0].keys() & sides[1].keys())
    pairs = [(sides[0][key], sides[1][key], key) for key in shared]
    pairs.sort(key=lambda pair: -abs(pair[1] - pair[0]))
    rows = [{"task": key, "one": a, "other": b, "change": b - a} for a, b, key in pairs[:PAGE]]
    mean = [float(np.mean([pair[side] for pair in pairs])) if pairs else None for side in (0, 1)]
    return {
        "one": one.folder.name,
        "other": other.folder.name,
        "shared": len(shared),
        "mean": mean,
        "flipped": sum(abs(b - a) == 1 for a, b, _ in pairs),
        "rows": rows,
    }


def _by_task(run: RunFile) -> dict[str, float]:
    """Success by task over all that was scored."""
    sums: dict[str, tuple[int, int]] = {}
    with run.reading() as sql:
        for at in run.steps(sql):
            tally = run.tally(sql, at)
            for number, key in sql.execute("SELECT number, task FROM candidates WHERE step = ?", (at,)):
                found = tally.trees.get(number)
                if found is not None and found["scored"]:
                    wins, scored = sums.get(key, (0, 0))
                    sums[key] = (wins + found["successes"], scored + found["scored"])
    return {key: wins / scored for key, (wins, scored) in sums.items()}


def _text(value: Any) -> Any:
    """Text as it was; bytes are text that UTF-8 cannot spell, shown with replacement characters."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
