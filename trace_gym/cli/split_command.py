"""`trace-gym split`: what is held out of a suite, whether that is sound, and a sealed split of one's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from trace_gym.cli.tables import folding, output
from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Split
from trace_gym.environment.audit import Audit, Pair, audit
from trace_gym.environment.registry import Suite, suite
from trace_gym.environment.seal import sealed, write_seal

SHOWN = 5


@click.command(
    "split",
    epilog="Examples: trace-gym split bfcl | trace-gym split wikihop_compact --test 0.25 --seal mine.json | "
    "trace-gym split 'wikihop_compact?sealed=mine.json'",
)
@click.argument("spec", metavar="SUITE")
@click.option(
    "--seal", "path", type=click.Path(path_type=Path), help="Write a split of your own to this file."
)
@click.option("--test", default=0.2, show_default=True, help="With --seal: the share of families held out.")
@click.option(
    "--of",
    type=click.Choice(["train", "all"]),
    default="train",
    show_default=True,
    help="With --seal: split the training tasks alone, or all anew.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Decides which families, and which tasks are read."
)
@click.option(
    "--read",
    type=click.IntRange(min=1),
    default=400,
    show_default=True,
    help="Tasks a split to audit at most.",
)
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on standard output.")
def command(spec: str, path: Path | None, test: float, of: str, seed: int, read: int, as_json: bool) -> None:
    """Show the split of SUITE and audit it: families on both sides, tasks that are there twice or nearly so,
    gold answers in prompts. Exits with 1 if it is not sound.

    With --seal, hold out families of your own choice of seed first; use it as SUITE?sealed=FILE.
    """
    found = suite(spec)
    if path is not None:
        found = _sealed(found, path, test=test, of=of, seed=seed)
    with Console(stderr=True, quiet=as_json).status(Text(f"auditing {found.spec} ...")):
        report = audit(found, most=read, seed=seed)
    if as_json:
        click.echo(json.dumps({**report.json(), "sealed": found.seal.hash if found.seal else None}))
    else:
        _print(found, report)
    sys.exit(0 if report.sound else 1)


def _sealed(found: Suite, path: Path, *, test: float, of: str, seed: int) -> Suite:
    """Seal a split, and the suite that goes by it."""
    if found.seal is not None:
        raise BadConfig("this suite goes by a sealed split already; name it without `sealed` to make another")
    everything = [task for split in Split for task in found.tasks(split)]
    write_seal(sealed(found.name, everything, of=of, test=test, seed=seed), path)
    return suite(f"{found.spec}{'&' if '?' in found.spec else '?'}sealed={path}")


def _print(found: Suite, report: Audit) -> None:
    console = output()
    table = folding("split", "tasks", "families", title=found.spec)
    for split, counts in report.splits.items():
        table.add_row(str(split), *map(str, counts))
    console.print(table)
    if found.seal is not None:
        console.print(f"sealed: {found.seal.hash}", highlight=False, soft_wrap=True)
    read = f"{report.read[0]} train and {report.read[1]} test tasks read"
    rows = {
        "families on both sides": (len(report.straddling), ", ".join(report.straddling[:SHOWN])),
        "tasks on both sides": (len(report.twice), _listed(report.twice)),
        "nearly the same": (len(report.near), _listed(report.near)),
        "gold answer in the prompt": (len(report.told), ", ".join(report.told[:SHOWN])),
    }
    verdict = "sound" if report.sound else "NOT SOUND"
    findings = folding("finding", "", "such as", title=f"{verdict} ({read}, {report.secrets} gold answers)")
    for name, (count, examples) in rows.items():
        findings.add_row(name, str(count), Text(examples), style="red" if count else "")
    console.print(findings)


def _listed(pairs: tuple[Pair, ...]) -> str:
    return ", ".join(f"{pair.train} ~ {pair.test} ({pair.overlap:.2f})" for pair in pairs[:SHOWN])
