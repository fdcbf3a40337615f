"""`trace-gym demo`: the whole circle on this machine, with a control."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from trace_gym.cli.demo_families import families
from trace_gym.cli.demo_families import table as families_table
from trace_gym.cli.display import Display
from trace_gym.cli.options import see_that_free
from trace_gym.cli.tables import folding, interval_text, output
from trace_gym.config import RunConfig, load
from trace_gym.core.errors import RunFolderError
from trace_gym.environment.registry import suite
from trace_gym.parts import with_torch
from trace_gym.statistics import Interval
from trace_gym.store import Store

PRESET = "demo"


@click.command("demo", epilog="Examples: trace-gym demo | trace-gym demo --out runs/demo --set run.steps=24")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run folder; must be new. Default: runs/demo-..."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one key of the preset.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output at the end.")
def command(out: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Warm start a tiny model, train it with TRACE, and evaluate it on held-out tasks before and after.

    A control with learning rate 0 runs beside it: what changes there is chance. Before that, the three
    families of environments are played as far as this machine can: tool use, code, the web.
    """
    with_torch()
    from trace_gym.assemble import train, warm_config
    from trace_gym.warm import warm_tiny

    started = time.perf_counter()
    config = load(PRESET, overrides)
    folder = out or Path(f"runs/demo-{time.strftime('%Y%m%d-%H%M%S')}")
    see_that_free(folder)
    with Display(quiet=as_json) as display:
        shown = list(families(display.note))
    if not as_json:
        output().print(families_table(shown))
    with Display(total=config.run.steps, quiet=as_json) as display:
        suites = [suite(section.spec) for section in config.suites]
        warm_tiny(suites, warm_config(config), note=display.note, progress=display.warming)
        with _control(folder / "control", overrides) as control:
            outcome = train(config, folder / "trace", narrator=display)
            display.note("waiting for the control ...")
            beside = control()
        display.costs(outcome.cost)
    facts = _facts(folder, config, outcome, beside, time.perf_counter() - started)
    facts["families"] = [each.json() for each in shown]
    if as_json:
        click.echo(json.dumps(facts))
    else:
        _print(facts)


@contextmanager
def _control(folder: Path, overrides: tuple[str, ...]) -> Iterator[Any]:
    """Run the same configuration with learning rate 0 in another process; yields a function that waits for
    it and returns what it found."""
    import torch

    threads = torch.get_num_threads()
    share = max(1, threads // 2)
    settings = [word for text in (*overrides, "train.lr=0", "train.epochs=1") for word in ("--set", text)]
    words = [
        sys.executable,
        "-m",
        "trace_gym.cli",
        "train",
        PRESET,
        *settings,
        "--out",
        str(folder),
        "--json",
    ]
    with TemporaryFile("w+") as said, TemporaryFile("w+") as complained:
        environment = {**os.environ, "OMP_NUM_THREADS": str(share)}
        process = subprocess.Popen(words, stdout=said, stderr=complained, env=environment)
        torch.set_num_threads(share)

        def wait() -> dict[str, Any]:
            code = process.wait()
            if code:
                complained.seek(0)
                raise RunFolderError(f"the control ended with {code}: {complained.read()[-2000:].strip()}")
            said.seek(0)
            found: dict[str, Any] = json.load(said)
            return found

        try:
            yield wait
        finally:
            torch.set_num_threads(threads)
            if process.poll() is None:
                process.terminate()
                process.wait()


def _facts(
    folder: Path, config: RunConfig, outcome: Any, control: dict[str, Any], seconds: float
) -> dict[str, Any]:
    with Store.open(folder / "trace", read_only=True) as store:
        ratios = [store.metrics(step)["effective_ratio"] for step in range(outcome.steps)]
    reports = {str(step): report.json()["success"] for step, report in sorted(outcome.reports.items())}
    return {
        "run": str(folder / "trace"),
        "steps": outcome.steps,
        "scheduler": config.scheduler.name,
        "success": reports,
        "control": {step: report["success"] for step, report in control["evaluations"].items()},
        "effective_ratio": ratios,
        "cost": outcome.cost.json(),
        "seconds": seconds,
    }


def _print(facts: dict[str, Any]) -> None:
    console = output()
    table = folding("held-out success, 95 %", *[f"after {step} steps" for step in facts["success"]])
    for name, row in ((facts["scheduler"], facts["success"]), ("control, learning rate 0", facts["control"])):
        table.add_row(name, *[interval_text(Interval(**found)) for found in row.values()])
    console.print(table)
    ratios = " ".join(f"{ratio:.2f}" for ratio in facts["effective_ratio"])
    console.print(f"effective ratio by step: {ratios}", highlight=False)
    console.print(f"{facts['seconds']:.0f} s; run folder: {facts['run']}", highlight=False)
