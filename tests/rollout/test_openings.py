"""How tasks begin: environments are asked once, states read anew, what does not fit is left out by name."""

import asyncio
from contextlib import contextmanager
from typing import ClassVar

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.check import Verdict
from trace_gym.core.errors import ContextExceeded, EnvironmentFailed
from trace_gym.core.task import Limits, Split, Task
from trace_gym.core.tokens import floats, ids
from trace_gym.environment.env import AgenticEnv
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.openings import Openings
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.rollout.worker import WorkerPool
from trace_gym.schedule.beta import BetaPredictor
from trace_gym.schedule.uniform import Uniform
from trace_gym.testing.agent import ScriptedAgent


class Letter(AgenticEnv):
    """Shows as many letters as its task says, and notes that it was asked to."""

    suite = "letter"
    begun: ClassVar[list[str]]
    broken: ClassVar[set[str]]

    def begin(self, task):
        self.begun.append(task.id)
        if task.id in self.broken:
            raise OSError("no paper")
        self.state = {}
        return "x" * task.payload["letters"]

    def checks(self):
        yield Verdict.of("sealed", True, evidence="closed")

    @classmethod
    def tasks(cls, split):
        return [letter(i) for i in range(9)]


def letter(number, letters=3):
    limits = Limits(max_turns=4)
    return Task(str(number), "letter", Split.TRAIN, "f", payload={"letters": letters}, limits=limits)


class Clerk:
    """Spells letters as tokens; states are length and the version of the policy, contexts ten tokens."""

    def __init__(self):
        self.version = 0
        self.read_at_once = []

    def prompt(self, view):
        return ids([1] * len(view.turns[0].observation))

    async def read(self, prompts):
        self.read_at_once.append(len(prompts))
        if any(len(prompt_ids) > 10 for prompt_ids in prompts):
            raise ContextExceeded("more than 10 tokens")
        return [floats([len(prompt_ids), self.version]) for prompt_ids in prompts]


@pytest.fixture
def desk():
    """(the environment, what takes the tasks of some steps through the openings of a run)"""

    class Mine(Letter):
        begun: ClassVar[list[str]] = []
        broken: ClassVar[set[str]] = set()

    def read(clerk, steps, **options):
        async def all_steps():
            config = CollectorConfig(workers=2, retries=1)
            seats = WorkerPool({"letter": Mine}, config.workers)
            openings, found = Openings(seats, config, clerk, **options), []
            try:
                for clerk.version, tasks in enumerate(steps):
                    fitting, prefixes = await openings.prefixes(tasks)
                    assert [prefix.task for prefix in prefixes] == [task.key for task in fitting]
                    found.append(prefixes)
            finally:
                seats.close()
            return openings, found

        return asyncio.run(all_steps())

    return Mine, read


def test_an_environment_is_asked_once_and_states_are_read_anew(desk):
    env, read = desk
    clerk = Clerk()
    _, found = read(clerk, [[letter(0), letter(1)], [letter(1), letter(2)], [letter(0)]])
    assert sorted(env.begun) == ["0", "1", "2"]
    assert [[prefix.hidden.tolist() for prefix in step] for step in found] == [
        [[3, 0], [3, 0]],
        [[3, 1], [3, 1]],
        [[3, 2]],
    ]
    assert {verdict.name for step in found for prefix in step for verdict in prefix.verdicts} == {"sealed"}
    assert clerk.read_at_once == [2, 2, 1]


def test_what_was_asked_for_longest_ago_is_forgotten_first(desk):
    env, read = desk
    tasks = [letter(0, 4), letter(1, 4), letter(2, 4)]
    read(Clerk(), [tasks[:2], tasks[:1], tasks[2:], tasks[:1], tasks[1:2]], keep=8)
    assert env.begun[2:] == ["2", "1"]
    env.begun.clear()
    _, found = read(Clerk(), [tasks, tasks], keep=4)
    assert [len(step) for step in found] == [3, 3]
    assert len(env.begun) == 5


def test_prompts_that_exceed_the_context_are_rejected_once(desk, caplog):
    _, read = desk
    clerk = Clerk()
    openings, found = read(clerk, [[letter(0), letter(1, 11), letter(2)]] * 2)
    assert [[prefix.task for prefix in step] for step in found] == [["letter/0", "letter/2"]] * 2
    assert openings.rejected == {"letter/1": "more than 10 tokens"}
    assert clerk.read_at_once == [3, 1, 1, 1, 2]
    assert [record.message for record in caplog.records] == ["letter/1 is left out: more than 10 tokens"]


def test_where_no_prompt_fits_nobody_is_asked_to_read_nothing(desk):
    _, read = desk
    clerk = Clerk()
    _, found = read(clerk, [[letter(1, 11)]] * 3)
    assert found == [[], [], []]
    assert clerk.read_at_once == [1, 1]


def test_a_task_that_does_not_begin_is_asked_again_at_the_next_step(desk):
    env, read = desk
    env.broken.add("1")
    _, found = read(Clerk(), [[letter(0), letter(1)]] * 2)
    assert [[prefix.task for prefix in step] for step in found] == [["letter/0"]] * 2
    assert env.begun.count("1") == 4
    with pytest.raises(EnvironmentFailed, match="no paper"):
        read(Clerk(), [[letter(1)]])


def test_a_collector_says_when_it_reads(desk):
    """Whoever times it is told of environments and policy together."""
    env, _ = desk
    told = []

    @contextmanager
    def reading():
        told.append(len(env.begun))
        yield
        told.append(len(env.begun))

    async def played():
        config = CollectorConfig(workers=2, turn_tokens=4)
        agent = ScriptedAgent(lambda view: "")
        async with Collector(
            {"letter": env},
            agent,
            Uniform(n=1),
            predictor=BetaPredictor(),
            reader=Clerk(),
            reading=reading,
            config=config,
        ) as collector:
            await collector.collect(0, [letter(0), letter(1)], Budget(trajectories=0))

    asyncio.run(played())
    assert told == [0, 2]
