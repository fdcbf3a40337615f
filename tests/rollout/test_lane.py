"""Brief environments share a thread: the same play, one thread, and nobody harmed by a call that hangs."""

import asyncio
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import pytest

from tests.rollout.test_collector import Corridor, Walker, corridor, shape
from trace_gym.core.budget import Budget
from trace_gym.core.episode import FailureCause
from trace_gym.core.task import Limits
from trace_gym.environment.tools import tool
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.lane import Lane
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.schedule.trace import Trace
from trace_gym.schedule.uniform import Uniform


def played(env_class, scheduler, tasks, **settings):
    async def run():
        config = CollectorConfig(workers=4, turn_tokens=2, **settings)
        async with Collector({"corridor": env_class}, Walker(), scheduler, config=config) as it:
            return await it.collect(0, tasks, Budget(trajectories=60))

    return asyncio.run(run())


class Seen(Corridor):
    """Remembers where its tools ran."""

    threads: ClassVar[set[int]] = set()

    @tool
    def walk(self, ahead: bool) -> str:
        """Take a step.

        Args:
            ahead: Forwards or backwards.
        """
        self.threads.add(threading.get_ident())
        return super().walk(ahead)


class Brief(Seen):
    """The same, on a shared thread."""

    brief = True
    threads: ClassVar[set[int]] = set()


def test_the_thread_changes_nothing_that_is_played():
    tasks = [corridor(i) for i in range(8)]
    own, shared = (played(env, Trace(roots=3, continuations=2, seed=1), tasks) for env in (Seen, Brief))
    assert shape(own) == shape(shared)
    assert any(r.anchor for tree in shared.trees for r in tree.rollouts)


def test_brief_environments_share_a_thread_once_it_is_known_that_they_are():
    first, later = ([corridor(i) for i in numbers] for numbers in (range(1), range(12)))

    async def run():
        config = CollectorConfig(workers=4, turn_tokens=2)
        for env in (Seen, Brief):
            async with Collector({"corridor": env}, Walker(), Uniform(n=1), config=config) as it:
                await it.collect(0, first, Budget())
                env.threads.clear()
                await it.collect(1, later, Budget())

    asyncio.run(run())
    assert len(Brief.threads) == 1
    assert len(Seen.threads) == 4


def test_a_hung_call_costs_its_own_rollout_alone():
    released = threading.Event()

    class Hung(Corridor):
        brief = True

        @tool
        def walk(self, ahead: bool) -> str:
            """Take a step.

            Args:
                ahead: Forwards or backwards.
            """
            if self.task.id == "3":
                released.wait()
            return super().walk(ahead)

    tasks = [replace(corridor(i), limits=Limits(6, step_timeout_s=1.0)) for i in range(8)]
    try:
        forest = played(Hung, Uniform(n=1), tasks, retries=0)
    finally:
        released.set()
    failures = {tree.task.id: tree.rollouts[0].failure for tree in forest.trees}
    assert failures == {str(i): FailureCause.TIMEOUT if i == 3 else None for i in range(8)}


def test_every_caller_gets_what_became_of_its_own_call():
    def bad():
        raise KeyError("mine")

    async def run():
        lane = Lane()
        calls = [lane.call(lambda i=i: i * i, 5.0) for i in range(20)]
        *squares, failed, after = await asyncio.gather(
            *calls, lane.call(bad, 5.0), lane.call(lambda: "after", 5.0), return_exceptions=True
        )
        closed = threading.Event()
        lane.close([SimpleNamespace(close=closed.set)])
        return squares, failed, after, await asyncio.to_thread(closed.wait, 60)

    squares, failed, after, closed = asyncio.run(run())
    assert squares == [i * i for i in range(20)]
    assert isinstance(failed, KeyError)
    assert (after, closed) == ("after", True)


def test_what_was_done_before_a_call_hung_and_what_was_asked_after_it_is_answered():
    released = threading.Event()

    async def run():
        lane = Lane()
        before, hung, *after = (
            asyncio.create_task(lane.call(work, timeout_s))
            for work, timeout_s in (
                (lambda: "before", 30.0),
                (released.wait, 0.05),
                (lambda: "after", 30.0),
                (threading.get_ident, 30.0),
            )
        )
        with pytest.raises(TimeoutError):
            await hung
        assert await before == "before"
        assert await after[0] == "after"
        again = await lane.call(threading.get_ident, 30.0)
        lane.close()
        return await after[1], again

    try:
        first, second = asyncio.run(run())
    finally:
        released.set()
    assert first == second
