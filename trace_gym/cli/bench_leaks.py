"""`trace-gym bench leaks`: kill runs at random moments and look for what their sandboxes leave behind.

Leaves out the drill itself.
"""

from __future__ import annotations

from pathlib import Path

import click

from trace_gym.bench.leaks import Drill, run
from trace_gym.cli.bench_command import deliver, output_options
from trace_gym.environment.sandbox import KINDS, Kind


@click.command("leaks", epilog="Examples: trace-gym bench leaks --kind bwrap --episodes 100")
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True)
@click.option("--episodes", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@output_options
def command(kind: Kind, episodes: int, seed: int, as_json: bool, out: Path | None) -> None:
    """Play episodes in processes that are killed at random, reap, and list what remains: nothing."""
    drill = run(kind, episodes=episodes, seed=seed, tell=lambda drill: _so_far(drill, episodes))
    deliver(drill.json(), as_json=as_json, out=out, tell=lambda: _tell(drill))


def _so_far(drill: Drill, episodes: int) -> None:
    left_s = drill.seconds / drill.episodes * (episodes - drill.episodes) if drill.episodes else 0.0
    click.echo(
        f"{drill.kind}: {drill.episodes} of {episodes} episodes, {drill.kills} kills, "
        f"{len(drill.remains)} things remained, {max(left_s, 0) / 60:.0f} min left",
        err=True,
    )


def _tell(drill: Drill) -> None:
    click.echo(f"{drill.kind}: {drill.episodes} episodes, {drill.kills} kills, {drill.seconds:.0f} s")
    for what in drill.remains:
        click.echo(f"left: {what}")
    click.echo(f"{len(drill.remains)} things remained." if drill.remains else "Nothing remained.")
