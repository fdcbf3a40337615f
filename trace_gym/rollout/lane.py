"""One thread for all environments whose calls are brief: what is asked in one turn of the event loop goes
over together, and the answers come back together.

To wake a thread costs more than such a call. A call that hangs loses the thread, and nobody but its own
caller: a new thread does what was left to do. Leaves out environments that are slow or bound to a thread,
which have one each (`worker.py`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from trace_gym.rollout.answers import hand_out, outcome

T = TypeVar("T")


class Closes(Protocol):
    """An environment, of which a lane knows only how it ends."""

    def close(self) -> object:
        """Free what it holds."""
        ...


LONGEST_WAIT_S = 0.002
"""An answer waits no longer than this for those after it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """What is to be done, and who waits for it."""

    work: Callable[[], Any]
    timeout_s: float
    answer: asyncio.Future[Any]


class Lane:
    """Lifecycle: asked from one event loop, closed by whoever made it. Calls are done in the order in which
    they were made."""

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._asked: list[_Call] = []
        self._runner = _Runner(self._told, clock)
        self._timer: asyncio.TimerHandle | None = None

    async def call(self, work: Callable[[], T], timeout_s: float) -> T:
        """What `work` returns or raises. TimeoutError: it took longer than `timeout_s` and still runs, on a
        thread that is given up; the time that others before it took does not count."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._asked.append(_Call(work, timeout_s, answer))
        if len(self._asked) == 1:
            loop.call_soon(self._send)
        return await answer

    def close(self, left: Sequence[Closes] = ()) -> None:
        """Close what is `left` after all that was asked, then end the thread; waits for neither."""
        self._runner.end(partial(close_all, left))
        if self._timer is not None:
            self._timer.cancel()

    def _send(self) -> None:
        calls, self._asked = self._asked, []
        self._runner.add(calls)
        self._watch(min(call.timeout_s for call in calls))

    def _told(self) -> None:
        """On the event loop: hand out the answers that are there."""
        hand_out(self._runner.answers())

    def _watch(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + delay_s:
                return
            self._timer.cancel()
        self._timer = loop.call_later(delay_s, self._look)

    def _look(self) -> None:
        """Give the thread up if its call has taken too long; look again when it may have."""
        self._timer = None
        left_s = self._runner.left_s()
        if left_s is None:
            return
        if left_s > 0:
            self._watch(left_s)
            return
        hung, rest = self._runner.give_up()
        self._told()
        self._runner = _Runner(self._told, self._clock)
        if hung is not None:
            hand_out([(hung.answer, TimeoutError())])
        if rest:
            self._runner.add(rest)
            self._watch(min(call.timeout_s for call in rest))


class _Runner:
    """A lane's thread. Invariant: a call is to do, under way, or answered; `_lock` guards its passing on.

    `told` is called on the event loop when there are answers. What the thread does after it was given up
    reaches nobody.
    """

    def __init__(self, told: Callable[[], None], clock: Callable[[], float]) -> None:
        self._told = told
        self._clock = clock
        self._lock = threading.Lock()
        self._wake = threading.Semaphore(0)
        self._todo: deque[_Call] = deque()
        self._doing: tuple[_Call, float] | None = None
        self._answers: deque[tuple[asyncio.Future[Any], object]] = deque()
        self._given_up = False
        self._last: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    def add(self, calls: list[_Call]) -> None:
        """More to do."""
        self._todo.extend(calls)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="env-lane", daemon=True)
            self._thread.start()
        self._wake.release()

    def answers(self) -> list[tuple[asyncio.Future[Any], object]]:
        """The answers since the last time."""
        return [self._answers.popleft() for _ in range(len(self._answers))]

    def left_s(self) -> float | None:
        """How long the call under way may still take; None: there is nothing to do."""
        with self._lock:
            if self._doing is not None:
                call, since = self._doing
                return call.timeout_s - (self._clock() - since)
            return min((call.timeout_s for call in self._todo), default=None)

    def give_up(self) -> tuple[_Call | None, list[_Call]]:
        """Stop with the call under way: that one, and those that were still to do."""
        with self._lock:
            self._given_up = True
            return self._doing and self._doing[0], list(self._todo)

    def end(self, last: Callable[[], None]) -> None:
        """Do `last` when there is nothing else to do, and stop."""
        self._last = last
        if self._thread is None:
            last()
        else:
            self._wake.release()

    def _run(self) -> None:
        while self._last is None or self._todo:
            self._wake.acquire()
            told_at = self._clock()
            while (call := self._begin()) is not None:
                if not self._end(call, outcome(call.work)):
                    return
                if not self._todo or self._clock() - told_at > LONGEST_WAIT_S:
                    self._tell(call.answer.get_loop())
                    told_at = self._clock()
        self._last()

    def _begin(self) -> _Call | None:
        with self._lock:
            if self._given_up or not self._todo:
                return None
            call = self._todo.popleft()
            self._doing = (call, self._clock())
            return call

    def _end(self, call: _Call, outcome: object) -> bool:
        """Note the answer; False if the thread was given up meanwhile."""
        with self._lock:
            self._doing = None
            if not self._given_up:
                self._answers.append((call.answer, outcome))
            return not self._given_up

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._told)


def close_all(left: Sequence[Closes]) -> None:
    """Close every one, also where another cannot be closed."""
    with ExitStack() as stack:
        for each in left:
            stack.callback(each.close)
