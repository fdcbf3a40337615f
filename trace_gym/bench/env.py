"""Steps a second: environments driven by the collector, against the same driven by `gymnasium.vector`.

Both take the same actions, drawn beforehand, and no model is asked. The collector keeps trees and forks from
anywhere; `vector` is Gymnasium's synchronous vector of as many environments. Leaves out models and tokens.
"""

from __future__ import annotations

import asyncio
import itertools
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trace_gym.core.action import Action
from trace_gym.core.agent import Move, View
from trace_gym.core.budget import Budget
from trace_gym.core.episode import Actor
from trace_gym.core.task import Split, Task
from trace_gym.environment.registry import Suite
from trace_gym.environment.vector import TextVectorEnv
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.schedule.uniform import Uniform

DRAWN = 256
"""How many actions are drawn; they are taken in turn."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One way over one suite: `steps` of environments and `episodes` in `seconds`."""

    suite: str
    way: str
    steps: int
    episodes: int
    seconds: float

    @property
    def rate(self) -> float:
        """Steps a second."""
        return self.steps / self.seconds


@dataclass(frozen=True, slots=True)
class Report:
    """All measurements, with the `count` of environments at once."""

    count: int
    seed: int
    machine: str
    rows: tuple[Measured, ...]

    def ratio(self, suite: str) -> float:
        """How many times the steps a second of Gymnasium's vector the collector takes."""
        rates = {row.way: row.rate for row in self.rows if row.suite == suite}
        return rates["collector"] / rates["vector"]

    def json(self) -> dict[str, Any]:
        """Everything, as JSON data."""
        suites = dict.fromkeys(row.suite for row in self.rows)
        return {
            "count": self.count,
            "seed": self.seed,
            "machine": self.machine,
            "rows": [{**asdict(row), "rate": row.rate} for row in self.rows],
            "collector / vector": {suite: self.ratio(suite) for suite in suites},
        }


class Drawn:
    """An agent that takes actions in turn, whatever it sees."""

    trainable = False
    wants_oracle = False

    def __init__(self, actions: Sequence[Action]) -> None:
        self._actions = itertools.cycle(actions)

    async def act(self, view: View) -> Move:
        """The next action."""
        return Move(next(self._actions), Actor.AGENT)


def run(suites: Sequence[Suite], *, count: int, episodes: int, repeats: int, seed: int) -> Report:
    """Play about `episodes` episodes of each suite in both ways, `count` environments at once; the fastest of
    `repeats` counts."""
    rows = tuple(row for suite in suites for row in _rows(suite, count, episodes, repeats, seed))
    return Report(count, seed, f"{platform.machine()}, Python {platform.python_version()}", rows)


def _rows(suite: Suite, count: int, episodes: int, repeats: int, seed: int) -> list[Measured]:
    """The best of both ways, which take turns, so that a busy machine slows down both."""
    tasks = suite.tasks(Split.TRAIN)
    order = np.random.default_rng(seed).permutation(len(tasks))
    chosen = [tasks[i] for i in order[:episodes]]
    actions = _drawn(suite, chosen[0], seed)
    _collected(suite, chosen[:count], actions, count, 1)
    found: dict[str, list[Measured]] = {"collector": [], "vector": []}
    for _ in range(repeats):
        began = time.perf_counter()
        steps, played = _collected(suite, chosen, actions, count, -(-episodes // len(chosen)))
        seconds = time.perf_counter() - began
        found["collector"].append(Measured(suite.spec, "collector", steps, played, seconds))
        found["vector"].append(_vectored(suite, actions, count, steps, seed))
    return [max(rows, key=lambda row: row.rate) for rows in found.values()]


def _drawn(suite: Suite, task: Task, seed: int) -> list[Action]:
    """Valid actions of a suite, drawn from its action space."""
    env = suite.make()
    try:
        env.reset(seed=task.seed, options={"task": task})
        env.action_space.seed(seed)
        return [env.action_space.sample() for _ in range(DRAWN)]
    finally:
        env.close()


def _collected(
    suite: Suite, tasks: Sequence[Task], actions: Sequence[Action], count: int, rounds: int
) -> tuple[int, int]:
    """Steps and episodes that the collector played."""

    async def play() -> tuple[int, int]:
        config = CollectorConfig(workers=count)
        makers = {suite.name: suite.make}
        async with Collector(makers, Drawn(actions), Uniform(n=rounds), config=config) as collector:
            forest = await collector.collect(0, tasks, Budget())
        cost = forest.cost
        return cost.steps, cost.trajectories

    return asyncio.run(play())


def _vectored(suite: Suite, actions: Sequence[Action], count: int, least: int, seed: int) -> Measured:
    """At least `least` steps with Gymnasium's vector; a step that only resets is not counted."""
    turn = itertools.cycle(actions)
    vector = TextVectorEnv([suite.make for _ in range(count)])
    try:
        vector.reset(seed=seed)
        done = np.zeros(count, dtype=np.bool_)
        steps = episodes = 0
        began = time.perf_counter()
        while steps < least:
            steps += int((~done).sum())
            _, _, ended, cut, _ = vector.step(tuple(next(turn) for _ in range(count)))
            done = ended | cut
            episodes += int(done.sum())
        return Measured(suite.spec, "vector", steps, episodes, time.perf_counter() - began)
    finally:
        vector.close()
