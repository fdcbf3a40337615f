"""`trace-gym bench sandbox`: sandboxes' round trip, forks, checkouts and many at once, beside plain Docker.

Leaves out the measuring itself.
"""

from __future__ import annotations

from pathlib import Path

import click

from trace_gym.bench.sandbox import Measured, run
from trace_gym.cli.bench_command import deliver, output_options
from trace_gym.cli.tables import folding, output
from trace_gym.environment.sandbox import KINDS

AtLeastOne = click.IntRange(min=1)


@click.command("sandbox", epilog="Examples: trace-gym bench sandbox --kind bwrap --repeats 20 --json")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    default=KINDS,
    show_default=True,
    help="Which sandboxes; may be given again.",
)
@click.option("--repeats", type=AtLeastOne, default=50, show_default=True, help="For each figure.")
@click.option("--files", type=AtLeastOne, default=1000, show_default=True, help="In the workspace.")
@click.option("--many", type=AtLeastOne, default=64, show_default=True, help="Sandboxes open at once.")
@output_options
def command(
    kinds: tuple[str, ...], repeats: int, files: int, many: int, as_json: bool, out: Path | None
) -> None:
    """Time the sandboxes of this machine and, where a daemon is, plain Docker, in one run."""
    measured = run(tuple(dict.fromkeys(kinds)), repeats=repeats, files=files, many=many)
    deliver(measured.json(), as_json=as_json, out=out, tell=lambda: _tell(measured))


def _tell(measured: Measured) -> None:
    title = f"sandboxes (workspace of {measured.files:,} files; load {measured.load:.1f} at the start)"
    table = folding(title=title)
    for name in ("what", "least ms", "median", "90 % below", "of", "target", ""):
        table.add_column(name, justify="left" if name in ("what", "") else "right", overflow="fold")
    for who, timings in measured.timings.items():
        for what, timing in timings.items():
            target = "" if timing.target_ms is None else f"{timing.target_ms:g}"
            verdict = {None: "", True: "met", False: "MISSED"}[timing.met]
            times = (timing.least_ms, timing.median_ms, timing.decile_ms)
            figures = (*(f"{each:,.2f}" for each in times), str(timing.count))
            table.add_row(f"{who}: {what}", *figures, target, verdict)
    console = output()
    console.print(table)
    for kind, reason in measured.absent.items():
        console.print(f"{kind} was not measured: {reason}", highlight=False)
