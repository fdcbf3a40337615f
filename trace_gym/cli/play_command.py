"""`trace-gym play`: play a task yourself."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import click
from rich.console import Console

from trace_gym.cli.play_session import PlaySession, Reader
from trace_gym.core.budget import Budget
from trace_gym.core.episode import Episode
from trace_gym.core.errors import BadConfig, unknown
from trace_gym.core.task import Split, Task
from trace_gym.environment.registry import Suite, suite
from trace_gym.parts import make_agent
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.schedule.uniform import Uniform


@click.command("play", epilog="Examples: trace-gym play guess | trace-gym play wikihop --task 3")
@click.argument("name")
@click.option("--task", "which", default="0", show_default=True, help="A task's number or its id.")
@click.option("--split", type=click.Choice([str(s) for s in Split]), default="train", show_default=True)
@click.option("--agent", default="human", show_default=True, help="Watch an agent instead.")
def command(name: str, which: str, split: str, agent: str) -> None:
    """Play one task of suite NAME in the terminal: the checks after every turn, `fork`, `goto` and `undo`.

    With --agent, watch an agent play instead.
    """
    found = suite(name)
    task = _chosen(found, Split(split), which)
    console = Console(stderr=True, markup=False, emoji=False)
    if agent == "human":
        _play(found, task, console)
        return
    episode = asyncio.run(_watched(found, task, agent))
    for turn in episode.turns[1:]:
        console.print(f"> {turn.text or (turn.action.json() if turn.action else '')}")
        console.print(turn.observation)
    for verdict in episode.turns[-1].verdicts:
        console.print(f"{verdict.status:8} {verdict.name}: {verdict.evidence}", highlight=False)
    console.print(f"stopped: {episode.stop}; success: {episode.success}", highlight=False)


def _chosen(found: Suite, split: Split, which: str) -> Task:
    tasks = found.tasks(split)
    if which.isdecimal() and int(which) < len(tasks):
        return tasks[int(which)]
    if which.isdecimal():
        raise BadConfig(f"{found.spec} has {len(tasks)} {split} tasks, numbered from 0; got {which}")
    by_id = {task.id: task for task in tasks}
    if which not in by_id:
        raise unknown(f"task of {found.spec} ({split})", which, list(by_id))
    return by_id[which]


def _play(found: Suite, task: Task, console: Console) -> None:
    """Let a person play. Raises what the suite's environment raises."""
    if not sys.stdin.isatty():
        click.echo("reading your moves from standard input", err=True)
    env = found.make(split=task.split)
    reader = cast(Reader, make_agent("human"))
    try:
        success = PlaySession(env, task, reader=reader, console=console, source=sys.stdin).play()
    finally:
        env.close()
    console.print(f"success: {success}", highlight=False)


async def _watched(found: Suite, task: Task, agent: str) -> Episode:
    config = CollectorConfig(workers=1, training=False, retries=0)
    async with Collector(
        {found.name: found.make}, make_agent(agent), Uniform(n=1), config=config
    ) as collector:
        forest = await collector.collect(0, [task], Budget())
    return forest.episodes()[0]
