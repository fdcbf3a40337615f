"""The collector: plays what the scheduler grants, concurrently, and grows the forest.

It drives three parties that do not know each other: environments (on worker threads), an agent
(asynchronous) and a scheduler (told of events one at a time). Everything is in the journal before anything
uses it, so a step that was cut off is taken up where it stood. It leaves out learning: that is for whoever
calls `collect`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from trace_gym.core.agent import Agent
from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig, SplitViolation
from trace_gym.core.journal import Journal
from trace_gym.core.predictor import Prediction, Predictor, Prefix
from trace_gym.core.scheduler import Candidate, Scheduler
from trace_gym.core.task import Split, Task
from trace_gym.core.tree import Forest
from trace_gym.rollout.demonstrator import Demonstrator
from trace_gym.rollout.model_agent import ModelAgent
from trace_gym.rollout.openings import Openings, Reader
from trace_gym.rollout.parties import CollectorConfig, Listener, Parties
from trace_gym.rollout.seat import Seats
from trace_gym.rollout.step import CollectedStep
from trace_gym.rollout.worker import Maker, WorkerPool


class Collector:
    """Plays steps. Usable alone, by whoever brings their own trainer:

        async with Collector(makers, agent, scheduler) as collector:
            forest = await collector.collect(step, tasks, Budget(trajectories=64))

    `makers` makes an environment for a suite's name; `reader`, a ModelAgent, reads how candidates begin (the
    policy's states are a feature of the predictor), and `reading` is entered meanwhile, for who times it;
    `listener` hears every event after it was journalled; `seats` say where environments live (None: threads
    of this process); they are closed with the collector. `guide` plays what a scheduler grants to the oracle
    (None: a demonstrator that speaks as the agent, if that is a model).
    """

    def __init__(
        self,
        makers: Mapping[str, Maker],
        agent: Agent,
        scheduler: Scheduler,
        *,
        journal: Journal | None = None,
        predictor: Predictor | None = None,
        reader: Reader | None = None,
        reading: Callable[[], AbstractContextManager[None]] = nullcontext,
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
        self._openings = None if reader is None else Openings(seats, config, reader)
        self._reading = reading

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

    def _refuse(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            raise BadConfig("a step needs at least one task")
        held_out = [task.key for task in tasks if task.split is not Split.TRAIN]
        if self.parties.config.training and held_out:
            raise SplitViolation(f"training was offered {len(held_out)} test tasks, {held_out[0]} first")

    @property
    def rejected(self) -> Mapping[str, str]:
        """Tasks that do not fit the model, with the reason."""
        return {} if self._openings is None else self._openings.rejected

    async def _candidates(self, tasks: Sequence[Task]) -> tuple[list[Task], list[Candidate]]:
        """The tasks that fit the model, and a candidate for each, with the predictor's word on it."""
        predictor = self.parties.predictor
        predictions: Sequence[Prediction | None] = [None] * len(tasks)
        fitting = list(tasks)
        if predictor is not None:
            if self._openings is None:
                prefixes = [Prefix(task.key, task.suite, 0, task.limits.max_turns) for task in tasks]
            else:
                with self._reading():
                    fitting, prefixes = await self._openings.prefixes(tasks)
            predictions = predictor.predict(prefixes)
        return fitting, [
            Candidate(index, task.key, task.suite, task.family, task.limits.max_turns, prediction)
            for index, (task, prediction) in enumerate(zip(fitting, predictions, strict=True))
        ]
