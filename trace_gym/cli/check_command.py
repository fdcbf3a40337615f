"""`trace-gym check`: certify suites."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial

import click
from rich.console import Console
from rich.text import Text

from trace_gym.cli.tables import folding, output
from trace_gym.environment.certify import Finding, Report, certify
from trace_gym.environment.registry import suite, suite_names
from trace_gym.environment.trial import Plan


@click.command(
    "check",
    epilog="Examples: trace-gym check guess | trace-gym check my_env.py:MyEnv | trace-gym check --all --json",
)
@click.argument("suites", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Certify every installed suite.")
@click.option(
    "--forks",
    type=click.IntRange(min=1),
    help=f"Random fork points per suite; default {Plan().forks}, 20 to 30 where steps run programs or pages.",
)
@click.option(
    "--fuzz",
    type=click.IntRange(min=1),
    help=f"Fuzzed actions per suite; default {Plan().fuzz}, 200 where steps run programs or pages.",
)
@click.option("--seed", default=Plan().seed, show_default=True, help="Decides tasks, forks and fuzz.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def command(
    suites: tuple[str, ...], everything: bool, forks: int | None, fuzz: int | None, seed: int, as_json: bool
) -> None:
    """Certify SUITES: solvable by the oracle and not trivially, deterministic, forkable, robust.

    Exits with 1 if a suite fails.
    """
    names = list(suite_names()) if everything else list(suites)
    if not names:
        raise click.UsageError("name a suite, or say --all")
    found = [suite(name) for name in names]
    console = Console(stderr=True)
    reports: list[Report] = []
    for each in found:
        with console.status(Text(f"certifying {each.spec} ...")):
            usual = Plan.fitting(each)
            plan = replace(usual, forks=forks or usual.forks, fuzz=fuzz or usual.fuzz, seed=seed)
            report = certify(each, plan, tell=partial(_tell, str(each.spec)))
        reports.append(report)
        if not as_json:
            _print(report)
    if as_json:
        click.echo(
            json.dumps({"passed": all(r.passed for r in reports), "suites": [r.json() for r in reports]})
        )
    sys.exit(0 if all(report.passed for report in reports) else 1)


def _tell(spec: str, finding: Finding) -> None:
    """Certifying may take an hour; where nobody watches, a log can say how far it is."""
    if not sys.stderr.isatty():
        verdict = "pass" if finding.passed else "FAIL"
        click.echo(f"{spec}: {finding.name}: {verdict}, {finding.seconds:.1f} s", err=True)


def _print(report: Report) -> None:
    table = folding(
        "finding", "", "evidence", title=f"{report.suite}: {'passed' if report.passed else 'FAILED'}"
    )
    for name, verdict, evidence in report.rows():
        table.add_row(name, verdict, Text(evidence), style="" if verdict == "pass" else "red")
    output().print(table)
