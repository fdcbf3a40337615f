"""How tasks begin, as a predictor sees them: prompts, what checks say there, and the policy's states.

A task begins alike every time, so its environment is asked once and the prompt remembered; states are read
anew at every step, for the policy changes. Leaves out what is predicted from them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from trace_gym.core.agent import View
from trace_gym.core.check import Verdict
from trace_gym.core.errors import ContextExceeded, EnvironmentFailed
from trace_gym.core.predictor import Prefix
from trace_gym.core.task import Task
from trace_gym.core.tokens import FloatArray, IntArray
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.rollout.player import root_turn
from trace_gym.rollout.seat import Seats, Stand

log = logging.getLogger(__name__)

REMEMBERED = 8_000_000
"""Tokens of prompts that are kept, 32 MB; the tasks that were asked for longest ago are forgotten first."""


class Reader(Protocol):
    """Spells what is seen as tokens, and reads them; a ModelAgent does both."""

    def prompt(self, view: View) -> IntArray:
        """The tokens (T,) before the next action."""
        ...

    async def read(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        """The policy's hidden states (D,) at the ends of prompts. Raises ContextExceeded."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """How a task begins: the prompt of its first turn, and what checks say before it."""

    prompt_ids: IntArray
    verdicts: tuple[Verdict, ...]


class Openings:
    """The roots of tasks as prefixes. Prompts of up to `keep` tokens in all are remembered. `rejected` holds
    tasks whose prompt exceeds the policy's context, with the reason."""

    def __init__(
        self, seats: Seats, config: CollectorConfig, reader: Reader, *, keep: int = REMEMBERED
    ) -> None:
        self._seats = seats
        self._config = config
        self._reader = reader
        self._keep = keep
        self._known: OrderedDict[str, Opening] = OrderedDict()
        self._tokens = 0
        self.rejected: dict[str, str] = {}

    async def prefixes(self, tasks: Sequence[Task]) -> tuple[list[Task], list[Prefix]]:
        """The tasks that begin and fit the context, and their roots. Raises EnvironmentFailed where none
        begins."""
        tasks = [task for task in tasks if task.key not in self.rejected]
        openings = await self._openings(tasks)
        begun = [task for task in tasks if task.key in openings]
        try:
            read = await self._reader.read([openings[task.key].prompt_ids for task in begun]) if begun else []
            states = dict(zip((task.key for task in begun), read, strict=True))
        except ContextExceeded:
            states = await self._read_each(begun, openings)
        fitting = [task for task in begun if task.key in states]
        return fitting, [
            Prefix(
                task.key,
                task.suite,
                0,
                task.limits.max_turns,
                openings[task.key].verdicts,
                states[task.key],
            )
            for task in fitting
        ]

    async def _read_each(
        self, tasks: Sequence[Task], openings: Mapping[str, Opening]
    ) -> dict[str, FloatArray | None]:
        """Read one by one; tasks whose prompt exceeds the context are rejected by name."""
        states: dict[str, FloatArray | None] = {}
        for task in tasks:
            try:
                states[task.key] = (await self._reader.read([openings[task.key].prompt_ids]))[0]
            except ContextExceeded as error:
                self.rejected[task.key] = str(error)
                log.warning("%s is left out: %s", task.key, error)
        return states

    async def _openings(self, tasks: Sequence[Task]) -> dict[str, Opening]:
        """How these tasks begin, by key, those left out that do not; environments are asked where it is not
        remembered."""
        found = {task.key: self._known[task.key] for task in tasks if task.key in self._known}
        unknown = [task for task in tasks if task.key not in found]
        stands, failure = await self._stands(unknown)
        if failure is not None and not found and not any(stands):
            raise failure
        found |= {
            task.key: self._opening(task, stand) for task, stand in zip(unknown, stands, strict=True) if stand
        }
        for task in tasks:
            if task.key in found:
                self._remember(task.key, found[task.key])
        return found

    async def _stands(self, tasks: Sequence[Task]) -> tuple[list[Stand | None], EnvironmentFailed | None]:
        """How the environments of tasks stand at first, None for one that fails at every attempt, and the
        first such failure."""
        stands: list[Stand | None] = [None] * len(tasks)
        attempts: Counter[int] = Counter()
        failures: list[EnvironmentFailed] = []

        async def reset(places: Sequence[int]) -> None:
            waiting = deque(places)
            while waiting:
                seat = await self._seats.take()
                try:
                    while waiting:
                        stands[waiting[0]] = await seat.begin(tasks[waiting[0]], keep=False, oracle=False)
                        waiting.popleft()
                except EnvironmentFailed as error:
                    place = waiting.popleft()
                    attempts[place] += 1
                    if attempts[place] <= self._config.retries:
                        waiting.append(place)
                    else:
                        failures.append(error)
                        log.warning("a task is left out of this step: %s", error)
                finally:
                    seat.leave()

        size = max(1, -(-len(tasks) // self._config.workers))
        places = range(len(tasks))
        await asyncio.gather(*(reset(places[i : i + size]) for i in range(0, len(tasks), size)))
        return stands, failures[0] if failures else None

    def _opening(self, task: Task, stand: Stand) -> Opening:
        root = root_turn(stand)
        view = View(task.suite, (root,), stand.tools, (), task.seed, self._config.turn_tokens)
        return Opening(self._reader.prompt(view), root.verdicts)

    def _remember(self, key: str, opening: Opening) -> None:
        """As the newest; the oldest make room."""
        if self._known.pop(key, None) is None:
            self._tokens += len(opening.prompt_ids)
        self._known[key] = opening
        while self._tokens > self._keep:
            _, oldest = self._known.popitem(last=False)
            self._tokens -= len(oldest.prompt_ids)
