"""The collector: plays what the scheduler grants, concurrently, and grows the forest.

It drives three parties that do not know each other: environments (on worker threads), an agent
(asynchronous) and a scheduler (told of events one at a time). Everything is in the journal before anything
uses it, so a step that was cut off is taken up where it stood. It leaves out learning: that is for whoever
calls `collect`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from trace_gym.core.agent import Agent, View
from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig, ContextExceeded, EnvironmentFailed, SplitViolation
from trace_gym.core.journal import Journal
from trace_gym.core.predictor import Prediction, Predictor, Prefix
from trace_gym.core.scheduler import Candidate, Scheduler
from trace_gym.core.task import Split, Task
from trace_gym.core.tokens import FloatArray
from trace_gym.core.tree import Forest
from trace_gym.rollout.demonstrator import Demonstrator
from trace_gym.rollout.model_agent import ModelAgent
from trace_gym.rollout.parties import CollectorConfig, Listener, Parties
from trace_gym.rollout.player import root_turn
from trace_gym.rollout.seat import Seats, Stand
from trace_gym.rollout.step import CollectedStep
from trace_gym.rollout.worker import Maker, WorkerPool

Encode: TypeAlias = Callable[[Sequence[View]], Awaitable[list[FloatArray | None]]]
log = logging.getLogger(__name__)


class Collector:
    """Plays steps. Usable alone, by whoever brings their own trainer:

        async with Collector(makers, agent, scheduler) as collector:
            forest = await collector.collect(step, tasks, Budget(trajectories=64))

    `makers` makes an environment for a suite's name; `encode` gives the policy's hidden states for views (a
    feature of the predictor); `listener` hears every event after it was journalled; `seats` say where
    environments live (None: threads of this process); they are closed with the collector. `guide` plays what
    a scheduler grants to the oracle (None: a demonstrator that speaks as the agent, if that is a model).
    `rejected` holds tasks that do not fit the model, with the reason.
    """

    def __init__(
        self,
        makers: Mapping[str, Maker],
        agent: Agent,
        scheduler: Scheduler,
        *,
        journal: Journal | None = None,
        predictor: Predictor | None = None,
        encode: Encode | None = None,
        listener: Listener | None = None,
        config: CollectorConfig | None = None,
        seats: Seats | None = None,
        guide: Agent | None = None,
    ) -> None:
        config = config or CollectorConfig()
        if guide is None and isinstance(agent, ModelAgent):
            guide = Demonstrator.beside(agent)
        seats = seats or WorkerPool(makers, config.workers)
        self.parties = Parties(agent, scheduler, seats, config, journal, predictor, listener, guide)
        self._encode = encode
        self.rejected: dict[str, str] = {}

    async def __aenter__(self) -> Collector:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.parties.seats.close()

    async def collect(self, step: int, tasks: Sequence[Task], budget: Budget) -> Forest:
        """Play one step over the candidate `tasks` within `budget`; trees only for tasks that were played.

        A step that the journal knows in part is taken up; `tasks` is then ignored for the recorded pool.
        Raises SplitViolation, JournalDiverged, and whatever the scheduler, agent or journal raise.
        """
        known = self.parties.journal.recover(step) if self.parties.journal else None
        if known is not None:
            tasks = known.tasks
        self._refuse(tasks)
        if known is not None:
            pool: Sequence[Candidate] = known.pool
        else:
            tasks, pool = await self._candidates(tasks)
            if self.parties.journal:
                self.parties.journal.open_step(step, pool, tasks)
        return await CollectedStep(self.parties, step, tasks=tasks, pool=pool, budget=budget).play(known)

    def _view(self, task: Task, stand: Stand) -> View:
        root = root_turn(stand)
        return View(task.suite, (root,), stand.tools, (), task.seed, self.parties.config.turn_tokens)

    def _refuse(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            raise BadConfig("a step needs at least one task")
        held_out = [task.key for task in tasks if task.split is not Split.TRAIN]
        if self.parties.config.training and held_out:
            raise SplitViolation(f"training was offered {len(held_out)} test tasks, {held_out[0]} first")

    async def _candidates(self, tasks: Sequence[Task]) -> tuple[list[Task], list[Candidate]]:
        """The tasks that fit the model, and a candidate for each, with the predictor's word on it."""
        predictor = self.parties.predictor
        predictions: Sequence[Prediction | None] = [None] * len(tasks)
        fitting = list(tasks)
        if predictor is not None:
            fitting, prefixes = await self._prefixes(tasks)
            predictions = predictor.predict(prefixes)
        return fitting, [
            Candidate(index, task.key, task.suite, task.family, task.limits.max_turns, prediction)
            for index, (task, prediction) in enumerate(zip(fitting, predictions, strict=True))
        ]

    async def _prefixes(self, tasks: Sequence[Task]) -> tuple[list[Task], list[Prefix]]:
        if self._encode is None:
            return list(tasks), [Prefix(task.key, task.suite, 0, task.limits.max_turns) for task in tasks]
        stands = await self._first_stands(tasks)
        tasks = [task for i, task in enumerate(tasks) if i in stands]
        begun = [stands[i] for i in sorted(stands)]
        views = [self._view(task, stand) for task, stand in zip(tasks, begun, strict=True)]
        try:
            states = dict(enumerate(await self._encode(views)))
        except ContextExceeded:
            states = await self._encode_each(tasks, views)
        prefixes = [
            Prefix(task.key, task.suite, 0, task.limits.max_turns, begun[i].verdicts, states[i])
            for i, task in enumerate(tasks)
            if i in states
        ]
        return [task for i, task in enumerate(tasks) if i in states], prefixes

    async def _encode_each(
        self, tasks: Sequence[Task], views: Sequence[View]
    ) -> dict[int, FloatArray | None]:
        """Encode one by one; tasks whose prompt exceeds the context are rejected by name."""
        assert self._encode is not None
        states: dict[int, FloatArray | None] = {}
        for index, (task, view) in enumerate(zip(tasks, views, strict=True)):
            try:
                states[index] = (await self._encode([view]))[0]
            except ContextExceeded as error:
                self.rejected[task.key] = str(error)
                log.warning("%s is left out: %s", task.key, error)
        return states

    async def _first_stands(self, tasks: Sequence[Task]) -> dict[int, Stand]:
        """How tasks begin, by their place; one whose environment fails at every attempt is left out of this
        step. Raises EnvironmentFailed where none begins."""
        stands: dict[int, Stand] = {}
        attempts: Counter[int] = Counter()
        failures: dict[int, EnvironmentFailed] = {}

        async def reset(chunk: Sequence[int]) -> None:
            waiting = deque(chunk)
            while waiting:
                seat = await self.parties.seats.take()
                try:
                    while waiting:
                        stands[waiting[0]] = await seat.begin(tasks[waiting[0]], keep=False, oracle=False)
                        waiting.popleft()
                except EnvironmentFailed as error:
                    index = waiting.popleft()
                    attempts[index] += 1
                    if attempts[index] <= self.parties.config.retries:
                        waiting.append(index)
                    else:
                        failures[index] = error
                        log.warning("a task is left out of this step: %s", error)
                finally:
                    seat.leave()

        size = max(1, -(-len(tasks) // self.parties.config.workers))
        places = range(len(tasks))
        await asyncio.gather(*(reset(places[i : i + size]) for i in range(0, len(tasks), size)))
        if not stands:
            raise next(iter(failures.values()))
        return stands
