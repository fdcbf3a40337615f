"""`trace-gym list`: what can be played."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trace_gym.core.errors import TraceGymError
from trace_gym.core.task import Split
from trace_gym.environment.registry import suite, suite_names


@click.command("list", epilog="Examples: trace-gym list | trace-gym list --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(as_json: bool) -> None:
    """List the installed suites: tasks and families per split, fork strategy, tools."""
    rows = {name: _described(name) for name in suite_names()}
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table("suite", "what", "train", "test", "subsets", "fork", "random", "tools")
    for name, row in rows.items():
        if "error" in row:
            table.add_row(name, Text(row["error"], style="red"), *[""] * 6)
            continue
        counts = [f"{row[split]['tasks']} ({row[split]['families']} fam.)" for split in ("train", "test")]
        subsets, tools = ", ".join(row["subsets"]), ", ".join(row["tools"][:6])
        more = f" +{len(row['tools']) - 6}" if len(row["tools"]) > 6 else ""
        table.add_row(
            name, Text(row["what"]), *counts, subsets, row["fork"], f"{row['chance']:g}", tools + more
        )
    Console().print(table)


def _described(name: str) -> dict[str, Any]:
    """A suite's facts, or why it cannot be used here."""
    try:
        found = suite(name)
        splits = {split: list(found.tasks(split)) for split in Split}
    except TraceGymError as error:
        return {"error": str(error)}
    return {
        "what": (found.env_class.__doc__ or "").strip().partition("\n")[0],
        **{
            str(split): {"tasks": len(tasks), "families": len({task.family for task in tasks})}
            for split, tasks in splits.items()
        },
        "subsets": sorted({task.subset for tasks in splits.values() for task in tasks if task.subset}),
        "fork": found.env_class.fork,
        "chance": found.env_class.chance,
        "tools": [spec.name for spec in found.env_class.toolbox()],
    }
