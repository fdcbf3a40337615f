"""`trace-gym bench`: measurements, one subcommand each, with a table, `--json` and `--out`.

A benchmark NAME is two files: `trace_gym/bench/NAME.py`, which measures and prints nothing, and
`trace_gym/cli/bench_NAME.py` (dashes are underscores there), which holds a click `command` and begins with
the one line that `trace-gym bench --help` shows. Nothing is registered: the file is found by its name.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, TypeVar

import click

import trace_gym.cli
from trace_gym.core.errors import BadConfig, boundary, unknown

PREFIX = "bench_"
OWN = "command"
Command = TypeVar("Command", bound=Callable[..., Any])


def benchmarks() -> list[str]:
    """The names of the benchmarks there are."""
    modules = [module.name for module in iter_modules(trace_gym.cli.__path__)]
    found = [name.removeprefix(PREFIX) for name in modules if name.startswith(PREFIX)]
    return sorted(name.replace("_", "-") for name in found if name != OWN)


def module_of(name: str) -> str:
    """The module that holds a benchmark's command."""
    return f"trace_gym.cli.{PREFIX}{name.replace('-', '_')}"


def summary(name: str) -> str:
    """The first line of a benchmark's command module, read without running it."""
    folder = files(trace_gym.cli)
    text = folder.joinpath(f"{module_of(name).rpartition('.')[2]}.py").read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    line = (docstring or "").partition("\n")[0]
    return line.partition("`: ")[2] or line


class Benchmarks(click.Group):
    """Imports a benchmark only when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All benchmarks by name."""
        return benchmarks()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The benchmark of that name; an unknown one is an error that names the nearest."""
        if cmd_name not in benchmarks():
            raise unknown("benchmark", cmd_name, benchmarks())
        command: click.Command = import_module(module_of(cmd_name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of benchmarks, without importing them."""
        with formatter.section("Benchmarks"):
            formatter.write_dl([(name, summary(name)) for name in benchmarks()])


@click.group("bench", cls=Benchmarks, epilog="Examples: trace-gym bench allocator --json")
def command() -> None:
    """Measure this installation on this machine."""


def output_options(function: Command) -> Command:
    """Add `--json` (parameter `as_json`) and `--out FILE` (parameter `out`) to a benchmark's command."""
    function = click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object.")(
        function
    )
    kind, said = click.Path(path_type=Path, dir_okay=False), "Also write the JSON object to this file."
    return click.option("--out", type=kind, callback=_with_a_place, help=said)(function)


def _with_a_place(_: click.Context, __: click.Parameter, out: Path | None) -> Path | None:
    """Refuse a file that cannot be written before hours are measured for it. Raises BadConfig."""
    if out is not None:
        there = next(path for path in (out, *out.absolute().parents) if path.exists())
        if not os.access(there, os.W_OK) or not (there == out or there.is_dir()):
            raise BadConfig(f"cannot write {out}: {there} is no folder, or cannot be written to")
    return out


def deliver(facts: Mapping[str, Any], *, as_json: bool, out: Path | None, tell: Callable[[], None]) -> None:
    """Write what was measured: JSON to `out`, and to standard output JSON or what `tell` prints. Raises
    BadConfig where `out` cannot be written."""
    text = json.dumps(facts)
    if out is not None:
        with boundary(BadConfig, OSError, what=f"cannot write {out}"):
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text + "\n", encoding="utf-8")
    if as_json:
        click.echo(text)
    else:
        tell()
