"""`trace-gym view`: look at runs in the browser."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from trace_gym.core.errors import BadConfig, MissingExtra, boundary
from trace_gym.view.export import MOST_TREES, export
from trace_gym.view.runfile import RunFile


@click.command(
    "view", epilog="Examples: trace-gym view runs | trace-gym view runs/demo/trace --export report.html"
)
@click.argument("folder", type=click.Path(path_type=Path), default=Path("runs"))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7788, show_default=True, help="0: any free one."
)
@click.option(
    "--export", "report", type=click.Path(path_type=Path), help="Write one offline HTML file instead."
)
@click.option(
    "--trees",
    type=click.IntRange(min=0),
    help=f"Trees that an export holds at most.  [default: {MOST_TREES}]",
)
def command(folder: Path, port: int, report: Path | None, trees: int | None) -> None:
    """Look at the run in FOLDER, or at all runs below it: curves, trees, tasks, comparisons, reports.

    One local page without outside requests, live while a run goes on. End with Ctrl-C.
    """
    if report is not None:
        count = export(RunFile(folder), report, trees=MOST_TREES if trees is None else trees)
        click.echo(f"wrote {report} with {count} trees", err=True)
        return
    if trees is not None:
        raise BadConfig("--trees bounds an export: add --export FILE, or leave it out")
    try:
        from trace_gym.view.app import serve
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the viewer needs {error.name}: pip install 'trace-gym[view]'") from error
    refused = boundary(BadConfig, OSError, what=f"port {port} cannot be used (another one: --port 0)")
    with refused, suppress(KeyboardInterrupt):
        serve(
            folder, port=port, ready=lambda address: click.echo(f"open {address}  (Ctrl-C ends it)", err=True)
        )
