"""`trace-gym compare`: evaluations against each other, task by task."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trace_gym.cli.tables import folding, output
from trace_gym.evaluate.compare import ATTEMPTS, Comparison, compare, read_evaluated
from trace_gym.statistics import Difference

SHOWN = 10


@click.command(
    "compare",
    epilog="Examples: trace-gym compare runs/a runs/b | trace-gym compare runs/base runs/x runs/y --json | "
    "trace-gym compare runs/t/eval/step-00000 runs/t",
)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--tasks",
    type=click.IntRange(min=0),
    default=SHOWN,
    show_default=True,
    help="Tasks to list on which two runs differ.",
)
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on standard output.")
def command(runs: tuple[Path, ...], tasks: int, as_json: bool) -> None:
    """Compare every run in RUNS with the first: evaluations, or training runs (their newest evaluation)."""
    found = compare([read_evaluated(folder) for folder in runs])
    if as_json:
        click.echo(json.dumps({"comparisons": [each.json() for each in found]}))
        return
    console = output()
    console.print(_overview(found))
    for each in found:
        console.print(f"{each.second} on {each.suite or 'all'}: {each.verdict}", highlight=False)
    for each in found:
        if not each.suite or len({other.suite for other in found}) == 1:
            _print_details(console, each, tasks)


def _overview(found: list[Comparison]) -> Table:
    title = f"success, compared with {found[0].first}: paired by task, p corrected after Holm"
    table = folding("run", "suite", "tasks", "was", "is", "difference, 95 %", "p", title=title)
    for each in found:
        p_value = "-" if each.corrected is None else f"{each.corrected:.3g}"
        means = (f"{mean:.3f}" for mean in each.means)
        alone = f" (+{sum(each.alone)} in one only)" if any(each.alone) else ""
        tasks, change = f"{each.difference.tasks}{alone}", difference_text(each.difference)
        table.add_row(Text(each.second), each.suite or "all", tasks, *means, change, p_value)
    return table


def _print_details(console: Console, each: Comparison, most: int) -> None:
    if each.by_difficulty:
        title = f"{each.first} -> {each.second}"
        table = folding("tasks by difficulty", "tasks", "difference, 95 %", title=title)
        for name, found in each.by_difficulty.items():
            table.add_row(name, str(found.tasks), difference_text(found))
        console.print(table)
    else:
        few = f"by difficulty: not told of fewer than {ATTEMPTS} attempts a task in both runs together"
        console.print(few, highlight=False)
    if each.disagree and most:
        shown = "" if len(each.disagree) <= most else f", of which {most} are listed"
        console.print(
            f"tasks that differ: {len(each.disagree)}{shown}, the largest differences first", highlight=False
        )
        listed = folding("task", "was", "is")
        for task in each.disagree[:most]:
            listed.add_row(Text(task.task), f"{task.first:.2f}", f"{task.second:.2f}")
        console.print(listed)
    smallest = each.difference.smallest
    if each.difference.p_value is not None:
        unit = {"family": "families", "task": "tasks"}[each.difference.unit]
        carried = f"clustered by {each.difference.clusters} {unit}"
        power = f"; so many tasks show a difference of {smallest:.3f} four times in five" if smallest else ""
        console.print(carried + power, highlight=False)


def difference_text(found: Difference) -> str:
    """`+0.041 [0.012, 0.070]`, without bounds where there are none."""
    bounds = "" if found.low is None or found.high is None else f" [{found.low:+.3f}, {found.high:+.3f}]"
    return f"{found.mean:+.3f}{bounds}"
