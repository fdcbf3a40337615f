"""`trace-gym runs`: the runs below a folder, the newest first."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from trace_gym.cli.tables import folding, output
from trace_gym.core.episode import StopReason
from trace_gym.core.errors import BadConfig, RunFolderError
from trace_gym.store import FILE, RunStatus, Store

STYLES = {
    "finished": "green",
    "running": "cyan",
    "cut off": "yellow",
    "interrupted": "yellow",
    "failed": "red",
}


@click.command("runs", epilog="Examples: trace-gym runs | trace-gym runs experiments --json")
@click.argument("folder", required=False, default="runs", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on standard output.")
def command(folder: Path, as_json: bool) -> None:
    """List the runs below FOLDER (default: runs): what they are, how they stand, success, cost."""
    if not folder.is_dir():
        raise BadConfig(f"there is no folder {folder}; runs lie where --out put them")
    found = [_described(file.parent, folder) for file in sorted(folder.rglob(FILE))]
    found.sort(key=lambda row: row.get("created_at", 0.0), reverse=True)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "runs": found}))
        return
    table = folding("run", "kind", "status", "steps", "episodes", "success", "tokens", "begun")
    for row in found:
        if "error" in row:
            table.add_row(Text(row["run"]), Text(row["error"], style="red"), *[""] * 6)
            continue
        success = "-" if row["success"] is None else f"{row['success']:.3f}"
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["created_at"]))
        numbers = (str(row["steps"]), f"{row['episodes']:,}", success, f"{row['tokens']:,}")
        status = Text(row["status"], style=STYLES[row["status"]])
        table.add_row(Text(row["run"]), row["kind"], status, *numbers, begun)
    output().print(table if found else f"no run below {folder}")


def _described(place: Path, folder: Path) -> dict[str, Any]:
    """A run's facts, or why it cannot be read."""
    name = str(place.relative_to(folder.parent if place == folder else folder))
    try:
        with Store.open(place, read_only=True) as store:
            return {"run": name, **facts_of(store)}
    except RunFolderError as error:
        return {"run": name, "error": str(error)}


def facts_of(store: Store) -> dict[str, Any]:
    """How a run stands: `success` is the mean that an evaluation measured, or that of the newest step's bare
    rollouts."""
    steps = [record.step for record in store.steps() if record.closed_at is not None]
    metrics = store.metrics(steps[-1]) if steps else {}
    ends, cost = store.stops(), store.cost()
    unfinished = ends.get("running", 0) + ends.get(StopReason.INVALID, 0)
    return {
        "kind": store.kind,
        "status": status_of(store),
        "steps": len(steps),
        "episodes": sum(ends.values()) - unfinished,
        "success": metrics.get("success", metrics.get("success_bare")),
        "tokens": cost.decoded,
        "cost": cost.json(),
        "created_at": store.fact("created_at"),
        "made_by": store.fact("trace_gym"),
    }


def status_of(store: Store) -> str:
    """A run's status; a run that says it is running, but that nobody writes, was cut off."""
    if store.status is RunStatus.RUNNING and not Store.being_written(store.folder):
        return "cut off"
    return str(store.status)
