"""Workers and their threads: what hangs keeps nothing and nobody, what does not is closed before the end."""

import asyncio
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from tests.rollout.test_collector import Corridor, corridor
from trace_gym.core.action import Action
from trace_gym.core.task import Limits
from trace_gym.environment.tools import tool
from trace_gym.rollout.own_thread import OwnThread
from trace_gym.rollout.seat import EnvironmentTimedOut
from trace_gym.rollout.worker import WorkerPool

LONG_S = 60.0
"""Nothing here takes so long."""


class Door(Corridor):
    """Its first cell waits at a closed door; says where it was made, called and closed."""

    opened: ClassVar[threading.Event]
    was_closed: ClassVar[threading.Event]
    threads: ClassVar[list[int]]

    def __init__(self, **others):
        super().__init__(**others)
        self.threads.append(threading.get_ident())

    @tool
    def walk(self, ahead: bool) -> str:
        """Take a step.

        Args:
            ahead: Forwards or backwards.
        """
        self.threads.append(threading.get_ident())
        self.opened.wait(LONG_S)
        return super().walk(ahead)

    def close(self):
        self.threads.append(threading.get_ident())
        self.was_closed.set()
        super().close()


def door(name, *, opened, is_brief=False):
    fresh = {"opened": threading.Event(), "was_closed": threading.Event(), "threads": []}
    made = type(name, (Door,), {"suite": name, "brief": is_brief, **fresh})
    if opened:
        made.opened.set()
    return made


async def walked(worker, name, *, limit_s=LONG_S):
    task = replace(corridor(1), suite=name, limits=Limits(6, step_timeout_s=LONG_S))
    await worker.begin(task, keep=False, oracle=False)
    task = replace(task, limits=Limits(6, step_timeout_s=limit_s))
    return await worker.step(task, Action.call("walk", ahead=True), keep=False, oracle=False)


@pytest.mark.parametrize("hangs", ["slow", "brief"])
def test_of_a_worker_in_which_one_environment_hangs_all_others_are_closed(hangs):
    makers = {
        name: door(name, opened=name != hangs, is_brief="brief" in name)
        for name in ("slow", "other slow", "brief", "other brief")
    }

    async def run():
        pool = WorkerPool(makers, 1)
        worker = await pool.take()
        for name in sorted(makers, key=lambda name: name == hangs):
            if name != hangs:
                assert (await walked(worker, name)).observation == "At 1."
        with pytest.raises(EnvironmentTimedOut, match=r"no answer from the environment in 0\.05 s"):
            await walked(worker, hangs, limit_s=0.05)
        worker.leave()
        another = await pool.take()
        assert another is not worker
        another.leave()
        pool.close()

    asyncio.run(run())
    hung = makers.pop(hangs)
    waiting = [each for each in makers.values() if hangs == "brief" or each.brief]
    assert all(each.was_closed.wait(LONG_S) for each in waiting)
    assert not hung.was_closed.is_set()
    hung.opened.set()
    if hangs == "slow":
        late = [hung, makers["other slow"]]
        assert all(each.was_closed.wait(LONG_S) for each in late), "its thread came back after all"
        assert len({thread for each in late for thread in each.threads}) == 1, "never on another thread"


def test_every_caller_gets_what_became_of_its_own_call_and_the_last_is_done_last():
    done, gone = [], threading.Event()

    def bad():
        raise KeyError("mine")

    async def run():
        thread = OwnThread("one")
        given_up = asyncio.create_task(thread.call(lambda: done.append("given up"), LONG_S))
        await asyncio.sleep(0)
        given_up.cancel()
        found = await asyncio.gather(
            *(thread.call(lambda i=i: done.append(i) or i * i, LONG_S) for i in range(20)),
            thread.call(bad, LONG_S),
            thread.call(threading.get_ident, LONG_S),
            thread.call(threading.get_ident, LONG_S),
            return_exceptions=True,
        )
        thread.end(lambda: (done.append("last"), gone.set()))
        return found

    *squares, failed, one, two = asyncio.run(run())
    assert gone.wait(LONG_S)
    assert squares == [i * i for i in range(20)]
    assert isinstance(failed, KeyError)
    assert one == two != threading.get_ident()
    assert done == ["given up", *range(20), "last"]


def test_a_timeout_that_an_environment_raises_itself_is_not_taken_for_its_thread_hanging():
    closed = threading.Event()

    def raises():
        raise TimeoutError("its own")

    async def run():
        thread = OwnThread("one")
        with pytest.raises(TimeoutError, match="its own"):
            await thread.call(raises, LONG_S)
        assert await thread.call(lambda: "goes on", LONG_S) == "goes on"
        thread.end(closed.set)

    asyncio.run(run())
    assert closed.wait(LONG_S)


PROGRAM = """
import asyncio, sys, threading
from pathlib import Path
from tests.rollout.test_collector import Corridor, Walker, corridor
from trace_gym.core.budget import Budget
from trace_gym.core.task import Limits
from trace_gym.environment.tools import tool
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.schedule.uniform import Uniform
from dataclasses import replace

class World(Corridor):
    @tool
    def walk(self, ahead: bool) -> str:
        '''Take a step.

        Args:
            ahead: Forwards or backwards.
        '''
        if self.task.id == "hangs":
            threading.Event().wait()
        return super().walk(ahead)

    def close(self):
        threading.main_thread().join()
        Path(sys.argv[1], self.task.id).touch()

async def main():
    config = CollectorConfig(workers=2, turn_tokens=2, retries=0)
    tasks = [replace(corridor(0), id=name, limits=Limits(6, step_timeout_s=s)) for name, s in
             (("hangs", 0.2), ("goes on", 60.0))]
    async with Collector({"corridor": World}, Walker(), Uniform(n=1), config=config) as collector:
        forest = await collector.collect(0, tasks, Budget())
    print(*(tree.rollouts[0].failure for tree in forest.trees), sep=",")

asyncio.run(main())
"""


def test_a_process_ends_though_an_environment_hangs_and_not_before_the_others_are_closed(tmp_path: Path):
    """Closing waits here until the main program is over: it is done, so the process waited for it."""
    words = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=LONG_S, check=False)
    assert (ended.returncode, ended.stdout) == (0, "timeout,None\n"), ended.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["goes on"]
