"""`trace-gym bench evaluation`: coverage and saving of adaptive evaluation, simulated and on recorded runs.

Leaves out the measuring itself.
"""

from __future__ import annotations

from pathlib import Path

import click

from trace_gym.bench.evaluation import Row, measure, recorded, spreads, written
from trace_gym.cli.bench_command import deliver, output_options
from trace_gym.cli.tables import folding, output
from trace_gym.statistics.simulation import Population


@click.command(
    "evaluation",
    epilog="Examples: trace-gym bench evaluation --runs 50 | trace-gym bench evaluation runs/e --json",
)
@click.argument("recordings", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--runs", type=click.IntRange(min=2), default=200, show_default=True, help="Evaluations a cell."
)
@click.option(
    "--budget", "budgets", type=float, multiple=True, default=(8.0, 16.0, 32.0, 64.0), help="Attempts a task."
)
@click.option(
    "--width", "widths", type=float, multiple=True, default=(0.03,), help="Half widths to stop at instead."
)
@click.option(
    "--prior", "priors", type=int, multiple=True, default=(0, 16), help="Attempts a task known beforehand."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@output_options
def command(
    recordings: tuple[Path, ...],
    runs: int,
    budgets: tuple[float, ...],
    widths: tuple[float, ...],
    priors: tuple[int, ...],
    seed: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Simulate adaptive evaluations of RECORDINGS (run folders of evaluations with many attempts a task, or
    JSON files of their outcomes); of made-up spreads where none is named."""
    populations: dict[str, Population] = {}
    for given in recordings:
        populations |= written(given) if given.is_file() else {str(given): recorded(given)}
    cells = measure(
        populations or spreads(seed), budgets=budgets, widths=widths, priors=priors, runs=runs, seed=seed
    )
    rows = []
    for row in cells:
        rows.append(row)
        click.echo(f"{row.population}: {row.found.covered} of {runs} covered", err=True)
    facts = {"seed": seed, "rows": [row.json() for row in rows]}
    deliver(facts, as_json=as_json, out=out, tell=lambda: _tell(rows))


def _tell(rows: list[Row]) -> None:
    title = "adaptive evaluation; spending in attempts a task"
    table = folding(
        *(
            "tasks",
            "known",
            "spent",
            "+-",
            "coverage",
            "anytime",
            "bias",
            "uniform",
            "best",
            "saving reached",
            "knowing the spread",
        ),
        title=title,
    )
    for row in rows:
        found = row.found
        table.add_row(
            row.population,
            str(row.prior),
            f"{found.spent:.1f}",
            f"{found.half_width:.4f}",
            f"{found.covered / found.runs:.3f}",
            f"{found.covered_always / found.runs:.3f}",
            f"{found.bias:+.2f}",
            f"{found.uniform:.1f}",
            f"{found.best:.1f}",
            f"{found.saving:.2f}",
            f"{found.informed:.2f}",
        )
    output().print(table)
