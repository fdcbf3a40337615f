"""`trace-gym bench train`: training on packed trees against leaf by leaf and TRL, the same gradient.

Leaves out the measuring itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from trace_gym.cli.bench_command import deliver, output_options
from trace_gym.cli.tables import folding, output
from trace_gym.core.errors import MissingExtra
from trace_gym.parts import with_torch

if TYPE_CHECKING:
    from trace_gym.bench.train import Measured, Report

AtLeastOne = click.IntRange(min=1)
WAYS = ("packed", "dense", "leaves", "trl")


@click.command("train", epilog="Examples: trace-gym bench train --shape trace --model smollm2-135m --json")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    default=("small",),
    show_default=True,
    help="small, trace, bushy, group, apart or short; several times for several.",
)
@click.option("--model", default="mini", show_default=True, help="mini, smollm2-135m or qwen3-0.6b.")
@click.option(
    "--way", "ways", multiple=True, type=click.Choice(WAYS), help="All by default; leaves always runs."
)
@click.option("--device", help="cuda where there is one, else cpu.")
@click.option("--dtype", type=click.Choice(("float32", "bfloat16")), default="float32", show_default=True)
@click.option("--token-budget", type=AtLeastOne, default=16384, show_default=True, help="Per micro-batch.")
@click.option("--repeats", type=AtLeastOne, default=3, show_default=True, help="The best is reported.")
@click.option("--lean", is_flag=True, help="Compute activations twice to keep few.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@output_options
def command(
    shapes: tuple[str, ...],
    model: str,
    ways: tuple[str, ...],
    device: str | None,
    dtype: str,
    token_budget: int,
    repeats: int,
    lean: bool,
    seed: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Time one gradient over a forest: every token once, or every branch by itself."""
    with_torch()
    from trace_gym.bench.train import Precision, Way, has_trl, run

    if "trl" in ways and not has_trl():
        raise MissingExtra("comparing with TRL needs trl: pip install 'trace-gym[trl]'")
    report = run(
        shapes,
        model=model,
        ways=cast(tuple[Way, ...], ways or WAYS),
        device=device,
        dtype=cast(Precision, dtype),
        token_budget=token_budget,
        repeats=repeats,
        lean=lean,
        seed=seed,
    )
    deliver(report.json(), as_json=as_json, out=out, tell=lambda: _tell(report))


def _tell(report: Report) -> None:
    """A row for every measurement."""
    from trace_gym.bench.train import has_trl

    title = f"{report.model} ({report.parameters:,} parameters, {report.dtype}) on {report.device}"
    table = folding(title=title)
    for heading in (
        "shape",
        "way",
        "tokens",
        "terms",
        "s",
        "faster",
        "MiB",
        "off by",
    ):
        table.add_column(heading, justify="left" if heading in ("shape", "way") else "right", overflow="fold")
    for row in report.rows:
        table.add_row(row.shape, row.way, *_numbers(row))
    console = output()
    console.print(table)
    console.print(
        "terms: tokens whose logits are computed; faster: than leaves; off by: its gradient, relative"
    )
    for shape, tokens, pairs in dict.fromkeys((row.shape, row.ratio, row.pairs) for row in report.rows):
        console.print(
            f"{shape}: leaf by leaf {tokens:.2f} times the tokens, {pairs:.2f} times the pairs that attend"
        )
    for note in {row.note for row in report.rows if row.note}:
        console.print(f"with dense masks: {note}")
    if not has_trl():
        console.print("without TRL; the extra `trl` adds it: pip install 'trace-gym[trl]'", markup=False)
    goal = "0.9 x the tokens saved and never below 1"
    console.print(f"packed reaches {goal}: {'yes' if report.reached else 'NO'}")


def _numbers(row: Measured) -> tuple[str, ...]:
    return (
        f"{row.computed:,}",
        f"{row.terms:,}",
        f"{row.seconds:.3f}",
        "-" if row.speedup is None else f"{row.speedup:.2f}",
        "-" if row.peak_mib is None else f"{row.peak_mib:,.0f}",
        "-" if row.apart is None else f"{row.apart:.1e}",
    )
