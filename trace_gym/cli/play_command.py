"""`trace-gym play`: play a task yourself."""

from __future__ import annotations

import asyncio
import sys

import click
from rich.console import Console

from trace_gym.core.budget import Budget
from trace_gym.core.episode import Episode
from trace_gym.core.errors import BadConfig, unknown
from trace_gym.core.task import Split, Task
from trace_gym.environment.registry import Suite, suite
from trace_gym.parts import make_agent
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.player import CollectorConfig
from trace_gym.schedule.uniform import Uniform


@click.command("play", epilog="Examples: trace-gym play guess | trace-gym play wikihop --task 3")
@click.argument("name")
@click.option("--task", "which", default="0", show_default=True, help="A task's number or its id.")
@click.option("--split", type=click.Choice([str(s) for s in Split]), default="train", show_default=True)
@click.option("--agent", default="human", show_default=True, help="Watch an agent instead.")
def command(name: str, which: str, split: str, agent: str) -> None:
    """Play one task of suite NAME in the terminal; the checks are shown at the end."""
    if agent == "human" and not sys.stdin.isatty():
        click.echo("reading your moves from standard input", err=True)
    found = suite(name)
    task = _chosen(found, Split(split), which)
    episode = asyncio.run(_played(found, task, agent))
    console = Console(stderr=True)
    for turn in episode.turns[1:] if agent != "human" else ():
        console.print(f"> {turn.text or (turn.action.json() if turn.action else '')}", markup=False)
        console.print(turn.observation, markup=False)
    for verdict in episode.turns[-1].verdicts:
        console.print(f"{verdict.status:8} {verdict.name}: {verdict.evidence}", markup=False, highlight=False)
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


async def _played(found: Suite, task: Task, agent: str) -> Episode:
    config = CollectorConfig(workers=1, training=False, retries=0)
    async with Collector(
        {found.name: found.make}, make_agent(agent), Uniform(n=1), config=config
    ) as collector:
        forest = await collector.collect(0, [task], Budget())
    return forest.episodes()[0]
