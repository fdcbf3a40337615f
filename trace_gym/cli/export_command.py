"""`trace-gym export`: a run's episodes in formats that others read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from trace_gym.core.action import ToolSpec
from trace_gym.core.errors import BadConfig, RunFolderError, TraceGymError
from trace_gym.core.files import new_file
from trace_gym.environment.registry import suite
from trace_gym.store import Store, StoredEpisode, episode_record
from trace_gym.store.atif import atif_record
from trace_gym.store.messages import messages_record
from trace_gym.store.parquet import write_parquet

FORMATS = ("jsonl", "parquet", "atif", "messages")
KEPT: Mapping[str, Callable[[StoredEpisode], bool]] = {
    "all": lambda stored: True,
    "scored": lambda stored: stored.episode.success is not None,
    "solved": lambda stored: stored.episode.success is True,
}


@click.command(
    "export",
    epilog="Examples: trace-gym export runs/e > episodes.jsonl | trace-gym export runs/e --format parquet "
    "-o e.parquet | trace-gym export runs/t --format messages --only solved -o sft.jsonl",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMATS), default="jsonl", show_default=True)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="The file; must be new. Default: standard output."
)
@click.option("--step", type=click.IntRange(min=0), help="Of this step only.")
@click.option(
    "--only",
    type=click.Choice(list(KEPT)),
    help="Which episodes; default: all, for messages the solved ones.",
)
def command(run: Path, form: str, out: Path | None, step: int | None, only: str | None) -> None:
    """Export the episodes of RUN: jsonl (everything, one episode a line), parquet (the same as a table), atif
    (Agent Trajectory Interchange Format, one trajectory a line), messages (OpenAI chat, for fine-tuning)."""
    if out is not None and out.exists():
        raise BadConfig(f"{out} exists; choose another file with -o")
    keep = KEPT[only or ("solved" if form == "messages" else "all")]
    with Store.open(run, read_only=True) as store:
        _demand_step(store, step)
        episodes = (stored for stored in store.episodes(step) if keep(stored))
        if form == "parquet":
            if out is None:
                raise BadConfig("Parquet is not text: say into which file with -o")
            count = write_parquet(episodes, out)
        else:
            count = _write(map(_record(store, form), episodes), out)
    if out is not None:
        none = "; none was solved, --only all takes the others" if not count and form == "messages" else ""
        click.echo(f"{count} episodes in {out}{none}", err=True)


def _demand_step(store: Store, step: int | None) -> None:
    known = [record.step for record in store.steps()]
    if step is not None and step not in known:
        which = f"its steps are {known[0]} to {known[-1]}" if known else "no step was begun"
        raise BadConfig(f"{store.folder} has no step {step}; {which}")


def _record(store: Store, form: str) -> Callable[[StoredEpisode], dict[str, Any]]:
    """How an episode becomes a line."""
    if form == "jsonl":
        return episode_record
    if form == "messages":
        tools = _tools(store)
        return lambda stored: messages_record(stored, tools)
    config, version = store.config, str(store.fact("trace_gym"))
    named = config.get("agent_name") or config.get("policy")
    agent = str(named.get("model") if isinstance(named, dict) else named or "agent")
    session = f"{store.folder.name}-{store.fact('created_at'):.0f}"
    return lambda stored: atif_record(stored, run=session, agent=agent, version=version)


def _tools(store: Store) -> dict[str, Sequence[ToolSpec]]:
    """The tools of the run's suites, of those that can be found here."""
    specs = store.config.get("suites", ())
    found: dict[str, Sequence[ToolSpec]] = {}
    for spec in specs:
        try:
            each = suite(spec["spec"] if isinstance(spec, dict) else spec)
        except TraceGymError as error:
            click.echo(f"without the tools of {spec}: {error}", err=True)
            continue
        found[each.name] = each.env_class.toolbox()
    return found


def _write(records: Iterator[dict[str, Any]], out: Path | None) -> int:
    """Write a line a record; returns how many. Raises RunFolderError, and BrokenPipeError where nobody reads
    on: that is no failure to tell of, and click ends the command quietly with 1."""
    count = 0
    try:
        with ExitStack() as stack:
            stream = sys.stdout if out is None else stack.enter_context(new_file(out))
            for record in records:
                stream.write(json.dumps(record) + "\n")
                count += 1
            stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RunFolderError(f"cannot write {out or 'the output'}: {error}") from error
    return count
