"""`trace-gym serve`: a task as an MCP server, for agents that take their tools from there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from trace_gym.core.errors import BadConfig, MissingExtra, unknown
from trace_gym.core.task import Split
from trace_gym.environment.registry import suite


@click.command(
    "serve",
    epilog="Examples: trace-gym serve guess | trace-gym serve bfcl --task TASK --result verdict.json",
)
@click.argument("spec", metavar="SUITE")
@click.option("--task", "name", help="The task's id; default: the first.")
@click.option("--split", type=click.Choice([str(s) for s in Split]), default="test", show_default=True)
@click.option("--result", type=click.Path(path_type=Path), help="Keep what came of it in this file, as JSON.")
def command(spec: str, name: str | None, split: str, result: Path | None) -> None:
    """Serve one task of SUITE over MCP on the standard streams, until the client hangs up."""
    try:
        from trace_gym.interop.mcp.serve import serve
    except ModuleNotFoundError as error:
        raise MissingExtra(f"serving over MCP needs {error.name}: pip install 'trace-gym[mcp]'") from error
    found = suite(spec)
    tasks = found.tasks(Split(split))
    if not len(tasks):
        raise BadConfig(f"{spec} has no {split} task")
    task = tasks[0] if name is None else next((task for task in tasks if task.id == name), None)
    if task is None:
        raise unknown(f"{split} task of {spec}", str(name), [task.id for task in tasks])
    asyncio.run(serve(found, task, result=result))
