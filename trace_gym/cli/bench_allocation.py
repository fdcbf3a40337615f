"""`trace-gym bench allocation`: every method's allocation where the truth is known, no model needed.

Leaves out the measuring itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from trace_gym.bench.allocation import Row, run
from trace_gym.bench.martingale import DEPTH, DIFFICULTY, Landscape
from trace_gym.bench.simulation import PREDICTORS
from trace_gym.cli.bench_command import deliver, output_options
from trace_gym.cli.options import named_methods
from trace_gym.cli.tables import folding, output
from trace_gym.core.errors import BadConfig

AtLeastOne = click.IntRange(min=1)
WIDTH = 150
"""Columns that the table needs; wider terminals give it more."""
SPREAD = ("contrast", "effective_ratio")
"""Figures that are shown with their interval."""
COLUMNS = {
    "contrast": "contrast",
    "effective_ratio": "effective",
    "leaves_per_tree": "leaves/tree",
    "mixed_per_100": "mixed/100",
    "contrast_per_turn": "contrast/turn",
    "flipped": "flipped",
    "regret_roots": "regret roots",
    "regret_forks": "regret forks",
    "bias_backup_low": "bias low",
    "bias_backup_high": "bias high",
    "starved": "starved",
}


@click.command(
    "allocation",
    epilog="Examples: trace-gym bench allocation --jobs 2 | trace-gym bench allocation "
    "--methods 'trace,trace_plus?queue=true' --predictors sharp,cold --difficulty hard --out found.json",
)
@click.option(
    "--methods",
    default="all",
    show_default=True,
    help="all, ablation, or comma-separated; NAME?option=value&... too.",
)
@click.option(
    "--predictors",
    default="sharp,overconfident,cold",
    show_default=True,
    help=f"Comma-separated: all, or {', '.join(PREDICTORS)}.",
)
@click.option("--difficulty", type=click.Choice([*DIFFICULTY]), default="wide", show_default=True)
@click.option("--depth", type=click.Choice([*DEPTH]), default="steady", show_default=True)
@click.option("--tasks", type=AtLeastOne, default=256, show_default=True, help="How many tasks there are.")
@click.option("--turns", type=AtLeastOne, default=6, show_default=True, help="Turns of an episode.")
@click.option("--pool", type=AtLeastOne, default=64, show_default=True, help="Candidates a step.")
@click.option("--budget", type=AtLeastOne, default=96, show_default=True, help="Trajectories a step.")
@click.option("--steps", type=AtLeastOne, default=50, show_default=True)
@click.option("--seeds", type=AtLeastOne, default=3, show_default=True)
@click.option("--jobs", type=AtLeastOne, default=1, show_default=True, help="Processes.")
@output_options
def command(
    methods: str,
    predictors: str,
    difficulty: str,
    depth: str,
    tasks: int,
    turns: int,
    pool: int,
    budget: int,
    steps: int,
    seeds: int,
    jobs: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Expected contrast, regret, bias of targets and starvation of every method, without a model.

    contrast: expected, per trajectory; regret: the part of what the best allocation of the same rollouts
    would have brought that was missed; bias: of the recursive backup at roots below .25 and above .75;
    starved: tasks never played.
    """
    landscape = Landscape(tasks=tasks, turns=turns, difficulty=difficulty, depth=depth)
    try:
        rows = run(
            named_methods(methods),
            PREDICTORS if predictors == "all" else predictors.split(","),
            landscape,
            pool=pool,
            budget=budget,
            steps=steps,
            seeds=seeds,
            jobs=jobs,
            progress=lambda text: click.echo(text, err=True) if sys.stderr.isatty() else None,
        )
    except ValueError as error:
        raise BadConfig(str(error)) from error
    facts = {
        "landscape": {"tasks": tasks, "turns": turns, "difficulty": difficulty, "depth": depth},
        "pool": pool,
        "budget": budget,
        "steps": steps,
        "rows": [row.json() for row in rows],
    }
    deliver(facts, as_json=as_json, out=out, tell=lambda: _tell(rows))


def _tell(rows: Sequence[Row]) -> None:
    console = output()
    console.width = max(WIDTH, console.width)
    for predictor in dict.fromkeys(row.predictor for row in rows):
        table = folding("method", *COLUMNS.values(), title=f"predictor: {predictor}")
        for row in rows:
            if row.predictor == predictor:
                table.add_row(row.method, *[_cell(row, name) for name in COLUMNS])
        console.print(table)
    speed = sum(row.steps_per_minute for row in rows) / len(rows)
    console.print(f"{rows[0].seeds} seeds; ± is half a 95 % interval; {speed:,.0f} steps a minute and core")


def _cell(row: Row, name: str) -> str:
    if name not in row.figures:
        return "-"
    value, interval = row.figures[name], row.intervals[name]
    digits = 1 if name in ("mixed_per_100", "leaves_per_tree") else 3
    spread = (
        "" if interval is None or name not in SPREAD else f" ±{(interval[1] - interval[0]) / 2:.{digits}f}"
    )
    return f"{value:.{digits}f}{spread}"
