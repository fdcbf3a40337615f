"""Seats that are threads of this process: a worker keeps one environment a suite, for a rollout at a time.

Environments are synchronous, and some (a browser page) must stay on the thread that made them; the collector
is asynchronous. A worker is the bridge: a thread of its own, or for brief environments the pool's one `Lane`.
It leaves out everything about trees, budgets and schedules.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from trace_gym.core.action import Action
from trace_gym.core.errors import EnvironmentFailed, ForkDiverged, boundary
from trace_gym.core.task import Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.fork import Snapshot
from trace_gym.environment.picture import png
from trace_gym.rollout.lane import Lane, close_all
from trace_gym.rollout.own_thread import OwnThread
from trace_gym.rollout.seat import EnvironmentTimedOut, Kept, Stand

T = TypeVar("T")
Maker = Callable[[], AgenticEnv]


class Worker:
    """One thread and its environments; implements Seat. Lifecycle: used by one rollout at a time, handed back
    to its pool by `left`, closed by the pool. `brief` says of suites whether their environments are, as soon
    as one was made: those are called on the `lane`."""

    def __init__(
        self,
        makers: Mapping[str, Maker],
        name: str,
        left: Callable[[Worker], None],
        *,
        lane: Lane,
        brief: dict[str, bool],
    ) -> None:
        self.name = name
        self._makers = makers
        self._left = left
        self._lane = lane
        self._brief = brief
        self._thread = OwnThread(name)
        self._envs: dict[str, AgenticEnv] = {}
        self._env: AgenticEnv | None = None
        self._hung: str | None = None

    async def begin(self, task: Task, *, keep: bool, oracle: bool) -> Stand:
        """Reset the suite's environment to `task`."""

        def reset() -> Stand:
            started = time.perf_counter()
            env = self._take(task)
            observation, info = env.reset(seed=task.seed, options={"task": task})
            return _stand(env, (observation, 0.0, False, False, info), started, keep=keep, oracle=oracle)

        return await self._call(reset, task)

    async def step(self, task: Task, action: Action, *, keep: bool, oracle: bool) -> Stand:
        """Take one action; `keep` asks for a snapshot of what comes out, `oracle` for the next reference
        action."""

        def step() -> Stand:
            started = time.perf_counter()
            env = self._current()
            return _stand(env, env.step(action), started, keep=keep, oracle=oracle)

        return await self._call(step, task)

    async def resume(self, task: Task, snapshot: Kept, *, oracle: bool) -> Action | None:
        """Stand where the snapshot was taken; returns the oracle's next action if asked for."""
        if not isinstance(snapshot, Snapshot):
            raise TypeError(
                f"a thread resumes from the snapshots of threads, got a {type(snapshot).__name__}"
            )

        def restore() -> Action | None:
            env = self._take(task)
            env.restore(snapshot)
            return env.oracle() if oracle else None

        return await self._call(restore, task)

    async def replay(self, task: Task, actions: Sequence[Action], digests: Sequence[str]) -> list[Stand]:
        """Reset and take `actions`, checking every digest (the root's first); raises ForkDiverged."""
        stands = [await self.begin(task, keep=False, oracle=False)]
        for action in actions:
            stands.append(await self.step(task, action, keep=False, oracle=False))
        for turn, (stand, digest) in enumerate(zip(stands, digests, strict=True)):
            if stand.digest != digest:
                raise ForkDiverged(f"{task.key}: replay differs from the record at turn {turn}")
        return stands

    async def oracle(self, task: Task) -> Action | None:
        """The reference action from where the environment stands."""
        return await self._call(lambda: self._current().oracle(), task)

    def leave(self) -> None:
        """Hand the worker back to its pool."""
        self._left(self)

    @property
    def broken(self) -> bool:
        """Has one of its environments hung?"""
        return self._hung is not None

    def close(self) -> None:
        """Close the environments on their own thread, one that hung if its call ever returns."""
        self._thread.end(self._close_bound)

    def brief_envs(self) -> list[AgenticEnv]:
        """Its environments that live on the lane, which closes them; not one that hung."""
        return [env for name, env in self._envs.items() if self._brief[name] and name != self._hung]

    def _close_bound(self) -> None:
        close_all([env for name, env in self._envs.items() if not self._brief[name]])

    async def _call(self, work: Callable[[], T], task: Task) -> T:
        limit = task.limits.step_timeout_s
        try:
            if self._brief.get(task.suite):
                return await self._lane.call(work, limit)
            return await self._thread.call(work, limit)
        except TimeoutError as late:
            self._hung = task.suite
            raise EnvironmentTimedOut(f"{task.key}: no answer from the environment in {limit:g} s") from late

    def _take(self, task: Task) -> AgenticEnv:
        if task.suite not in self._envs:
            env = self._makers[task.suite]()
            self._brief[task.suite] = env.brief
            self._envs[task.suite] = env
        self._env = self._envs[task.suite]
        return self._env

    def _current(self) -> AgenticEnv:
        if self._env is None:
            raise ValueError("a worker must begin or resume before it can step")
        return self._env


class WorkerPool:
    """Up to `size` workers, made on demand; implements Seats. One that hung is thrown away and replaced."""

    def __init__(self, makers: Mapping[str, Maker], size: int) -> None:
        if size < 1:
            raise ValueError(f"workers must be at least 1, got {size}")
        self._makers = makers
        self._idle: list[Worker] = []
        self._left: list[AgenticEnv] = []
        self._lane = Lane()
        self._brief: dict[str, bool] = {}
        self._made = 0
        self._seats = asyncio.Semaphore(size)

    async def take(self) -> Worker:
        """A free worker; waits for one if all are busy."""
        await self._seats.acquire()
        if self._idle:
            return self._idle.pop()
        self._made += 1
        return Worker(self._makers, f"env-{self._made}", self._give, lane=self._lane, brief=self._brief)

    def close(self) -> None:
        """Close all idle workers."""
        idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()
        self._lane.close([*self._left, *(env for worker in idle for env in worker.brief_envs())])

    def _give(self, worker: Worker) -> None:
        if worker.broken:
            worker.close()
            self._left += worker.brief_envs()
        else:
            self._idle.append(worker)
        self._seats.release()


def _picture(env: AgenticEnv) -> bytes | None:
    """What the environment looks like, from one that was made to draw itself."""
    if env.render_mode != "rgb_array":
        return None
    with boundary(EnvironmentFailed, Exception, what=f"{env.suite} could not be drawn"):
        return png(env.render())


def _stand(
    env: AgenticEnv,
    outcome: tuple[str, float, bool, bool, Mapping[str, Any]],
    started: float,
    *,
    keep: bool,
    oracle: bool,
) -> Stand:
    observation, reward, terminated, truncated, info = outcome
    goes_on = not (terminated or truncated)
    return Stand(
        observation,
        float(reward),
        terminated,
        truncated,
        tuple(info["verdicts"]),
        info["digest"],
        tuple(env.available()),
        time.perf_counter() - started,
        env.snapshot() if keep and goes_on else None,
        env.oracle() if oracle and goes_on else None,
        _picture(env),
    )
