"""`trace-gym clean`: remove what killed processes left behind."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from trace_gym.environment.sandbox import missing
from trace_gym.environment.sandbox.docker import connect
from trace_gym.environment.sandbox.reaper import Removed, reap


@click.command("clean", epilog="Examples: trace-gym clean --dry-run | trace-gym clean --all")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--all", "everything", is_flag=True, help="Also remove the Python image of the sandboxes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def command(dry_run: bool, everything: bool, as_json: bool) -> None:
    """Remove containers, volumes, networks, mounts and folders of sandboxes whose process is dead, and images
    of tasks that no container uses. What belongs to a living process stays."""
    no_docker = missing("docker")
    purposes = frozenset({"task", "base"} if everything else {"task"})
    removed = reap(None if no_docker else connect(), images=purposes, dry_run=dry_run)
    if as_json:
        found = [asdict(each) for each in removed]
        click.echo(json.dumps({"removed": found, "dry_run": dry_run, "without_docker": no_docker}))
        return
    for each in removed:
        click.echo(_line(each, dry_run=dry_run))
    if not removed:
        click.echo("There is nothing to remove.")
    if no_docker:
        click.echo(f"No containers were looked for: {no_docker}")


def _line(removed: Removed, *, dry_run: bool) -> str:
    verb = "would remove" if dry_run else "removed"
    return f"{verb} {removed.kind} {removed.name.removeprefix('sha256:')[:40]}: {removed.reason}"
