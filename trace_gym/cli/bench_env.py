"""`trace-gym bench env`: environment steps a second of the collector, against `gymnasium.vector`.

Leaves out the measuring itself.
"""

from __future__ import annotations

from pathlib import Path

import click

from trace_gym.bench.env import Report, run
from trace_gym.cli.bench_command import deliver, output_options
from trace_gym.cli.tables import folding, output
from trace_gym.environment.registry import suite

AtLeastOne = click.IntRange(min=1)


@click.command(
    "env",
    epilog="Examples: trace-gym bench env | trace-gym bench env terminal --count 8 --episodes 32 --json",
)
@click.argument("suites", nargs=-1)
@click.option("--count", type=AtLeastOne, default=32, show_default=True, help="Environments at once.")
@click.option("--episodes", type=AtLeastOne, default=512, show_default=True, help="Of each suite.")
@click.option("--repeats", type=AtLeastOne, default=3, show_default=True, help="The best is reported.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@output_options
def command(
    suites: tuple[str, ...],
    count: int,
    episodes: int,
    repeats: int,
    seed: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Step SUITES (guess and wikihop_compact where none is named) with actions drawn beforehand."""
    played = [suite(spec) for spec in suites or ("guess", "wikihop_compact")]
    report = run(played, count=count, episodes=episodes, repeats=repeats, seed=seed)
    deliver(report.json(), as_json=as_json, out=out, tell=lambda: _tell(report))


def _tell(report: Report) -> None:
    table = folding(title=f"{report.count} environments at once, {report.machine}")
    for heading in ("suite", "way", "steps", "episodes", "seconds", "steps/s", "of vector's"):
        table.add_column(heading, justify="left" if heading in ("suite", "way") else "right", overflow="fold")
    for row in report.rows:
        ratio = f"{report.ratio(row.suite):.2f}" if row.way == "collector" else ""
        numbers = (f"{row.steps:,}", f"{row.episodes:,}", f"{row.seconds:.2f}", f"{row.rate:,.0f}", ratio)
        table.add_row(row.suite, row.way, *numbers)
    output().print(table)
