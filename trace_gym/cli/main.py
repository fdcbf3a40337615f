"""The `trace-gym` command: finds the subcommand and turns failures into one sentence and an exit code."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from io import TextIOWrapper

import click

from trace_gym.core.errors import BadConfig, SplitViolation, TraceGymError, UnknownName, unknown

COMMANDS = {
    "list": "What can be played: suites, tasks per split, families, forks.",
    "check": "Certify suites: solvable, not trivially so, deterministic, forkable, robust.",
    "new": "Write the package of a new suite, which certifies as written.",
    "play": "Play a task yourself in the terminal.",
    "serve": "Serve a task over MCP, for agents that take their tools from there.",
    "train": "Train a policy on suites under a rollout-budget scheduler.",
    "eval": "Evaluate an agent or a policy on held-out tasks, with error bars.",
    "runs": "List the runs below a folder: what they are, how they stand, success, cost.",
    "show": "Show a run, or the rollout tree of one of its tasks, in the terminal.",
    "export": "Write a run's episodes as JSON lines, Parquet, ATIF, or messages for fine-tuning.",
    "view": "Look at runs in the browser: curves, trees, tasks; or export one offline report.",
    "bench": "Measure: the allocators and schedulers, and whatever else has a benchmark.",
    "split": "Show a suite's split and audit it for leaks; seal a split of your own.",
    "compare": "Compare evaluations task by task: differences, p-values, what is missing to be sure.",
    "demo": "The whole circle on this machine in minutes: warm start, training, evaluation, control.",
    "clean": "Remove what killed processes left: containers, mounts, folders, unused images.",
    "doctor": "What this machine can do, and what to install for the rest.",
}


class LazyGroup(click.Group):
    """Imports a command's module only when the command is used, so that `--help` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; an unknown one is an error that names the nearest."""
        if cmd_name not in COMMANDS:
            raise unknown("command", cmd_name, list(COMMANDS))
        command: click.Command = import_module(f"trace_gym.cli.{cmd_name}_command").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: trace-gym doctor, then: trace-gym demo",
)
@click.version_option(package_name="trace-gym")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens inside to standard error.")
def cli(verbose: bool) -> None:
    """A gym of forkable, verifiable agentic environments, with a rollout-budget scheduler inside it."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed or not read on, 2 wrong input, 130 interrupted."""
    if isinstance(sys.stdout, TextIOWrapper):  # what its encoding lacks is spelled, as on standard error
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(cli.main(prog_name="trace-gym", standalone_mode=False))
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(_say("interrupted", 130))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (UnknownName, BadConfig, SplitViolation) as error:
        sys.exit(_say(str(error), 2))
    except TraceGymError as error:
        sys.exit(_say(str(error), 1))


def _say(text: str, code: int) -> int:
    click.echo(f"Error: {text}", err=True)
    return code
