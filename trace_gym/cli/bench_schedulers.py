"""`trace-gym bench schedulers`: which allocation of the same budget learns most, over seeds, with plots.

Leaves out the runs and the reading of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from trace_gym.cli.bench_command import deliver, output_options
from trace_gym.cli.options import amounts, named_methods
from trace_gym.cli.tables import folding, output
from trace_gym.core.errors import BadConfig
from trace_gym.parts import with_torch

if TYPE_CHECKING:
    from trace_gym.bench.comparison import Comparison, Figure, Row
    from trace_gym.bench.schedulers import Plan, Settings

AtLeastOne = click.IntRange(min=1)
ENDLESS = 1_000_000
"""Steps of a run that its budget ends."""
PRESET = "wide"
UNITS = ("tokens", "trajectories", "seconds")
PACES: Mapping[str, tuple[float, float, float]] = {"quick": (0.1, 0.02, 0.0), "slow": (4.0, 0.02, 0.02)}
"""Simulated seconds of a tool call, a sampled token and a context token. Slow: tools take seconds, and every
word of a compact observation stands for a hundred tokens of a long one, computed at 5,000 a second."""


@click.command(
    "schedulers",
    epilog="Examples: trace-gym bench schedulers --methods uniform,trace --seeds 3 --budget tokens=70000 "
    "--folder runs/compare --jobs 2 | trace-gym bench schedulers --methods uniform,trace --tune lr=1e-5,3e-5 "
    "--tune epochs=1,3 --seeds 2 --first-seed 1000 --folder runs/tuning --budget tokens=30000",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/schedulers"),
    show_default=True,
    help="Of the runs; an interrupted comparison goes on there.",
)
@click.option("--suite", help="Default: the configuration's.")
@click.option("--policy", help="Default: the configuration's.")
@click.option(
    "--config", default=PRESET, show_default=True, help="A preset or TOML file that all runs share."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one key of it.")
@click.option(
    "--methods",
    default="all",
    show_default=True,
    help="all, ablation, or comma-separated; NAME?option=value&train.KEY=value&budget.step_KEY=value too; "
    "imitation is the control.",
)
@click.option("--baseline", help="The method to compare with. Default: uniform, alone with options too.")
@click.option("--seeds", type=AtLeastOne, default=3, show_default=True)
@click.option("--first-seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="UNIT=NUMBER",
    help="tokens=N, trajectories=N or (simulated) seconds=N, of every run.",
)
@click.option(
    "--every", type=AtLeastOne, default=4, show_default=True, help="Steps between held-out evaluations."
)
@click.option(
    "--regime",
    type=click.Choice(["natural", "wide"]),
    default="natural",
    show_default=True,
    help="Which training tasks: all, or a pool of which 70 % are solved always or never at first.",
)
@click.option(
    "--pace",
    type=click.Choice(list(PACES)),
    default="quick",
    show_default=True,
    help="Simulated seconds of a tool call, a sampled token, a context token: "
    + "; ".join(f"{name} {', '.join(f'{s:g}' for s in seconds)}" for name, seconds in PACES.items()),
)
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path),
    help="TOML with [train] and [methods.NAME.train] ...",
)
@click.option(
    "--tune",
    "grids",
    multiple=True,
    metavar="KEY=V,V,...",
    help="Search training settings instead (or budget.step_KEY), on training tasks; writes settings.toml.",
)
@click.option(
    "--noise/--no-noise",
    default=False,
    show_default=True,
    help="Measure the gradient's variance at every step, for a quarter more training time.",
)
@click.option("--jobs", type=AtLeastOne, default=1, show_default=True, help="Processes, one thread each.")
@click.option(
    "--plots/--no-plots", default=True, show_default=True, help="PNG pictures; needs the extra `bench`."
)
@output_options
def command(**given: Any) -> None:
    """Train every method from the same warm start on the same tasks and seeds to the end of the same budget.

    Held-out success is read over sampled tokens, trajectories, optimiser steps and simulated seconds. A
    finished run is a file and is not repeated.
    """
    with_torch()
    from trace_gym.bench.cell import demonstrates
    from trace_gym.bench.schedulers import run, tune
    from trace_gym.cli.display import Display

    plan = _plan(given)
    with Display(quiet=given["as_json"]) as display:

        def told(name: str, done: int, of: int) -> None:
            display.note(f"{done}/{of} {name}")

        if given["grids"]:
            best = tune(plan, _grid(given["grids"]), display, jobs=given["jobs"], progress=told)
            _deliver_settings(best, plan.folder, given)
            return
        found = run(plan, display, jobs=given["jobs"], progress=told)
        written: list[Path] = []
        if given["plots"]:
            from trace_gym.bench.plot import draw

            title = f"{', '.join(s.spec for s in plan.config.suites)}, {plan.regime}, {len(plan.seeds)} seeds"
            written = draw(found, plan.folder, title=title)
    taught = [method for method in plan.methods if demonstrates(method, plan.settings.for_method(method))]
    facts = {**found.json(), "regime": plan.regime, "plots": [str(path) for path in written]}
    facts["with_demonstrations"] = taught
    deliver(facts, as_json=given["as_json"], out=given["out"], tell=lambda: _tell(found, written, taught))


def _plan(given: dict[str, Any]) -> Plan:
    from trace_gym.bench.cell import IMITATION, credit_rows
    from trace_gym.bench.schedulers import Plan, Settings
    from trace_gym.config import load, table

    overrides = [f"run.steps={ENDLESS}", f"eval.every={given['every']}"]
    if given["suite"]:
        overrides.append(f"suites={given['suite']}")
    if given["policy"]:
        overrides.append(f"policy.model={given['policy']}")
    overrides.append(f"run.pace={list(PACES[given['pace']])}")
    overrides.append(f"train.noise={str(given['noise']).lower()}")
    limits = amounts(given["budgets"], UNITS, "budget")
    overrides += [f"budget.{unit}={limit}" for unit, limit in limits.items()]
    config = load(given["config"], [*overrides, *given["overrides"]])
    if all(getattr(config.budget, unit) is None for unit in UNITS):
        raise BadConfig("say what every run may spend: --budget tokens=N, trajectories=N or seconds=N")
    settings = Settings.of(table(given["settings_file"])) if given["settings_file"] else Settings()
    methods = named_methods(given["methods"])
    if given["methods"] == "all":
        methods.append(IMITATION)
    if given["methods"] == "ablation":
        methods += credit_rows(config)
    seeds = range(given["first_seed"], given["first_seed"] + given["seeds"])
    return Plan(
        config,
        methods,
        list(seeds),
        given["folder"],
        settings,
        given["regime"],
        given["baseline"],
    )


def _grid(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Values by key from `lr=1e-5,3e-5`; each is read as JSON, else as a word."""
    grid: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not values:
            raise BadConfig(f"a grid is written KEY=VALUE,VALUE,..., got {text!r}")
        grid[key] = [_value(value) for value in values.split(",")]
    return grid


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _deliver_settings(best: Settings, folder: Path, given: dict[str, Any]) -> None:
    from trace_gym.config import toml

    text = toml(best.json())
    (folder / "settings.toml").write_text(text, encoding="utf-8")
    deliver(best.json(), as_json=given["as_json"], out=given["out"], tell=lambda: click.echo(text, nl=False))


def _tell(found: Comparison, written: Sequence[Path], taught: Sequence[str]) -> None:
    console = output()
    console.width = max(150, console.width)
    console.print(_success_table(found))
    console.print(_figure_table(found))
    if found.unpaired:
        console.print(found.unpaired)
    if found.target is not None:
        console.print(f"baseline: {found.baseline}")
        console.print(f"cost to reach: to its final success {found.target:.3f}, over what it spent")
    if taught:
        console.print(f"with demonstrations, which the others do without: {', '.join(taught)}")
    for path in written:
        console.print(f"wrote {path}", highlight=False)


def _success_table(found: Comparison) -> Table:
    from trace_gym.bench.curve import AXES

    title = "held-out success, mean and 95 % interval over seeds"
    table = folding("method", "seeds", "success", "gain", "less baseline", title=title)
    for words in AXES.values():
        table.add_column(f"reached at: {words}")
    for row in found.rows:
        reach = [_reached(row, axis) for axis in AXES]
        cells = (_cell(figure) for figure in (row.success, row.gain, row.paired))
        table.add_row(row.method, str(row.seeds), *cells, *reach)
    return table


def _figure_table(found: Comparison) -> Table:
    columns = {
        "effective_ratio": "effective",
        "leaves_per_tree": "leaves/tree",
        "mixed_prefixes": "mixed prefixes",
        "signal_ktoken": "signal/kilotoken",
        "flipped": "flipped",
        "brier_prefix": "Brier",
        "brier_prefix_constant": "constant",
        "brier_prefix_counts": "counts",
        "auc": "AUC",
        "seconds": "seconds",
        "share_collect": "collect",
        "share_train": "train",
        "share_schedule": "schedule",
        "share_predict": "predict",
    }
    table = folding(
        "method", *columns.values(), title="during training; the last four are parts of the seconds"
    )
    for row in found.rows:
        table.add_row(row.method, *[_short(row.figures.get(name), name) for name in columns])
    return table


def _reached(row: Row, axis: str) -> str:
    found = row.reach[axis]
    if found is None:
        return "-"
    share, low, high = ("never" if x is None else f"{x:.2f}" for x in (found.share, found.low, found.high))
    return share if found.seeds < 2 else f"{share} [{low}, {high}]"


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    if figure.interval is None:
        return f"{figure.mean:.3f}"
    return f"{figure.mean:.3f} [{figure.interval[0]:.3f}, {figure.interval[1]:.3f}]"


def _short(figure: Figure | None, name: str) -> str:
    if figure is None:
        return "-"
    return f"{figure.mean:.1f}" if name in ("leaves_per_tree", "seconds") else f"{figure.mean:.3f}"
