"""`trace-gym train`: train a policy on suites."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from trace_gym.cli.display import Display
from trace_gym.cli.resume import resumable
from trace_gym.config import dump, load, moved, presets
from trace_gym.core.errors import BadConfig
from trace_gym.parts import with_torch


@click.command(
    "train",
    epilog="Examples: trace-gym train wikihop --out runs/one | trace-gym train my.toml --set train.lr=3e-4 "
    "--set scheduler.name=uniform | trace-gym train --resume --out runs/one",
)
@click.argument("config", required=False)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one key; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder; must be new. Default: runs/...")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, as configured but for the place.")
@click.option("--dry-run", is_flag=True, help="Check and print the configuration; load and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output at the end.")
def command(
    config: str | None,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train as CONFIG says: a TOML file, or one of the packaged presets."""
    with_torch()
    from trace_gym.assemble import assist, check, recorded, train
    from trace_gym.train.world import World, launched

    if resume:
        if out is None or config:
            raise BadConfig(
                "--resume takes the run folder in --out and its recorded configuration, no other; --set may "
                "change where it is at work (cluster, run.workers)"
            )
        settings = moved(recorded(out), overrides)
    else:
        if config is None and not overrides:
            raise BadConfig(f"name a configuration file or a preset: {', '.join(presets())}")
        settings = load(config, overrides)
    facts = check(settings)
    if dry_run:
        click.echo(dump(settings))
        click.echo("\n".join(f"# {name}: {value}" for name, value in facts.items()))
        return
    folder = out or Path(settings.run.out or f"runs/{time.strftime('%Y%m%d-%H%M%S')}")
    with launched():
        if World.current().rank > 0:
            assist(settings)
            return
        with resumable("train", folder), Display(total=settings.run.steps, quiet=as_json) as display:
            display.note(f"run folder: {folder}")
            outcome = train(settings, folder, resume=resume, narrator=display)
            display.note(f"{outcome.reason} after {outcome.steps} steps; run folder: {folder}")
            display.costs(outcome.cost)
    if as_json:
        click.echo(json.dumps(_summary(folder, outcome)))


def _summary(folder: Path, outcome: Any) -> dict[str, Any]:
    return {
        "run": str(folder),
        "reason": outcome.reason,
        "steps": outcome.steps,
        "cost": outcome.cost.json(),
        "evaluations": {str(step): report.json() for step, report in outcome.reports.items()},
    }
