"""`trace-gym bench allocator`: the allocators' speed, memory and distance from the exact optimum.

Leaves out the measuring itself.
"""

from __future__ import annotations

from pathlib import Path

import click

from trace_gym.bench.allocator import Measured, run
from trace_gym.cli.bench_command import deliver, output_options
from trace_gym.cli.tables import folding, output

AtLeastOne = click.IntRange(min=1)


@click.command("allocator", epilog="Examples: trace-gym bench allocator --candidates 4096 --roots 512 --json")
@click.option(
    "--candidates", type=AtLeastOne, default=1_000_000, show_default=True, help="Prompts to choose from."
)
@click.option("--roots", type=click.IntRange(min=0), default=100_000, show_default=True, help="M.")
@click.option(
    "--cap", type=click.IntRange(min=2), default=8, show_default=True, help="Roots a prompt at most."
)
@click.option(
    "--prefixes",
    type=AtLeastOne,
    default=100_000,
    show_default=True,
    help="For stage 2, as many continuations.",
)
@click.option(
    "--repeats", type=AtLeastOne, default=3, show_default=True, help="The best of so many is reported."
)
@click.option(
    "--small",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    help="Instances checked against DP.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@output_options
def command(
    candidates: int,
    roots: int,
    cap: int,
    prefixes: int,
    repeats: int,
    small: int,
    seed: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Share roots out over many candidates; time it, weigh it, and compare it with the optimum."""
    measured = run(candidates, roots, cap=cap, repeats=repeats, small=small, prefixes=prefixes, seed=seed)
    deliver(measured.json(), as_json=as_json, out=out, tell=lambda: _tell(measured))


def _tell(m: Measured) -> None:
    table = folding(title="allocators", show_header=False)
    table.add_row("stage 1", f"{m.candidates:,} candidates, M = {m.roots:,}, cap {m.cap}")
    table.add_row("seconds", f"{m.seconds:.3f}")
    table.add_row("memory", f"{m.array_mib:.0f} MiB of arrays; process at most {m.process_mib:.0f} MiB")
    table.add_row("roots spent", f"{m.spent:,}")
    table.add_row("contrast", f"{m.value:,.6f} of at most {m.bound:,.6f} (one unit is {m.unit:.3f})")
    table.add_row("against DP", f"{m.small} small instances, worst shortfall {m.worst_small:.1e}")
    table.add_row("optimum met", "yes, up to the parity remainder" if m.exact else "NO")
    table.add_row("stage 2", f"{m.prefixes:,} prefixes, as many continuations: {m.prefix_seconds:.3f} s")
    output().print(table)
