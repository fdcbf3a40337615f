"""`trace-gym bench kills`: kill training and evaluation at random moments, resume, and say what was lost.

Leaves out the drill itself.
"""

from __future__ import annotations

from pathlib import Path

import click

from trace_gym.bench.kills import CELLS, Drill, run
from trace_gym.cli.bench_command import deliver, output_options
from trace_gym.cli.tables import folding, output
from trace_gym.core.errors import BadConfig


@click.command(
    "kills",
    epilog="Examples: trace-gym bench kills | trace-gym bench kills --kills 20 --only eval --only bwrap",
)
@click.option("--kills", type=click.IntRange(min=1), default=100, show_default=True, help="In all.")
@click.option(
    "--only",
    multiple=True,
    help="Cells with this word: eval, train, none, bwrap, docker, scripted, tiny, chat.",
)
@click.option(
    "--longest", default=2.0, show_default=True, help="Seconds a process works at most before it is killed."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@output_options
def command(
    kills: int, only: tuple[str, ...], longest: float, seed: int, as_json: bool, out: Path | None
) -> None:
    """Kill runs with every sandbox and policy, resume them until they are done, and see that nothing is lost,
    doubled, played again, or different from a run that was left alone."""
    cells = [cell for cell in CELLS if set(only) <= set(cell.name.split())]
    if not cells:
        raise BadConfig(
            f"no cell has all of {', '.join(only)}; there are: {', '.join(c.name for c in CELLS)}"
        )
    drills = []
    for drill in run(kills=kills, seed=seed, cells=cells, longest_s=longest):
        click.echo(f"{drill.cell}: {drill.kills} kills, {len(drill.faults)} faults", err=True)
        drills.append(drill)
    facts = {
        "seed": seed,
        "kills": sum(drill.kills for drill in drills),
        "drills": [d.json() for d in drills],
    }
    deliver(facts, as_json=as_json, out=out, tell=lambda: _tell(drills))


def _tell(drills: list[Drill]) -> None:
    table = folding(
        "job, sandbox, policy",
        "runs",
        "kills",
        "before work",
        "turns",
        "broken",
        "asked again",
        "faults",
        "seconds",
    )
    for drill in drills:
        counts = (drill.runs, drill.kills, drill.early, drill.turns, drill.broken)
        again = "" if drill.asked is None else str(drill.asked)
        table.add_row(drill.cell, *map(str, counts), again, str(len(drill.faults)), f"{drill.seconds:.0f}")
    output().print(table)
    for drill in drills:
        for fault in drill.faults:
            click.echo(f"{drill.cell}: {fault}")
    total = sum(len(drill.faults) for drill in drills)
    click.echo(f"{sum(d.kills for d in drills)} kills, {total or 'no'} faults")
