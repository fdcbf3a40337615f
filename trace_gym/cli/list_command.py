"""`trace-gym list`: what can be played."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trace_gym.cli.tables import UNBOUNDED, output
from trace_gym.core.errors import TraceGymError
from trace_gym.core.task import Split, Task
from trace_gym.environment.browser_env import BrowserEnv
from trace_gym.environment.registry import suite, suite_names
from trace_gym.environment.sandbox_env import SandboxEnv

MOST_READ = 2000
"""Tasks of a split that are looked into at most; suites that make their tasks may have any number of them."""

SHOWN = 12
"""Subsets and tools that are named; of more the number is told."""


@click.command("list", epilog="Examples: trace-gym list | trace-gym list --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(as_json: bool) -> None:
    """List the installed suites: tasks and families per split, fork strategy, sandbox or browser, tools."""
    rows = {name: _described(name) for name in suite_names()}
    if as_json:
        click.echo(json.dumps(rows))
        return
    console, whole = output(), Console(width=UNBOUNDED)
    table = Table("suite", "train (families)", "test (families)", "fork", "random", box=None, show_edge=False)
    for column in table.columns:
        column.no_wrap = True
    for name, row in rows.items():
        table.add_row(Text(name, style="bold"), *([] if "error" in row else _facts(row)))
    with whole.capture() as drawn:
        whole.print(table)
    header, *lines = drawn.get().splitlines()
    console.print(Text.from_ansi(header))
    for line, row in zip(lines, rows.values(), strict=True):
        console.print(Text.from_ansi(line))
        console.print(Padding(_words(row), (0, 0, 1, 4), expand=False))


def _facts(row: dict[str, Any]) -> list[str]:
    """What stands in the columns."""
    kept = row["fork"] if row["fork"] != "sandbox" else "files"
    where = ", sandbox" if row["sandbox"] else ", browser" if row["browser"] else ""
    return [_counted(row["train"]), _counted(row["test"]), f"{kept}{where}", f"{row['chance']:g}"]


def _words(row: dict[str, Any]) -> Text:
    """What stands below them."""
    if "error" in row:
        return Text(row["error"], style="red")
    lines = [row["what"]]
    for what in ("subsets", "tools"):
        more = f" +{len(row[what]) - SHOWN}" if len(row[what]) > SHOWN else ""
        if row[what]:
            lines.append(f"{what}: {', '.join(row[what][:SHOWN])}{more}")
    return Text("\n".join(lines), style="dim")


def _described(name: str) -> dict[str, Any]:
    """A suite's facts, or why it cannot be used here."""
    try:
        found = suite(name)
        splits = {split: found.tasks(split) for split in Split}
        read = {split: _spread(tasks) for split, tasks in splits.items()}
        tools = [spec.name for spec in found.env_class.toolbox()]
    except TraceGymError as error:
        return {"error": str(error)}
    return {
        "what": " ".join((found.env_class.__doc__ or "").partition("\n\n")[0].split()),
        **{
            str(split): {
                "tasks": len(tasks),
                "families": len({task.family for task in read[split]}),
                "read": len(read[split]),
            }
            for split, tasks in splits.items()
        },
        "subsets": sorted({task.subset for tasks in read.values() for task in tasks if task.subset}),
        "fork": found.env_class.fork,
        "sandbox": issubclass(found.env_class, SandboxEnv),
        "browser": issubclass(found.env_class, BrowserEnv),
        "chance": found.env_class.chance,
        "tools": tools,
    }


def _spread(tasks: Sequence[Task]) -> list[Task]:
    """At most MOST_READ tasks from all over the list, always the same; drawn, for families may alternate."""
    places = Random(0).sample(range(len(tasks)), min(len(tasks), MOST_READ))
    return [tasks[place] for place in sorted(places)]


def _counted(facts: dict[str, int]) -> str:
    """Tasks and families; a plus says that not all tasks were read, so that there may be more families."""
    more = "" if facts["read"] == facts["tasks"] else "+"
    return f"{facts['tasks']} ({facts['families']}{more})"
