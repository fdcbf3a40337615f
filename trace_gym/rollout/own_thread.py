"""A thread that does what an event loop asks of it, one call after the other: for environments that are slow
or must stay on the thread that made them.

Leaves out calls so brief that many of them share a thread (`lane.py`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from trace_gym.rollout.answers import outcome, tell

T = TypeVar("T")

LAST_S = 60.0
"""The process does not end before what a thread does last, or before this."""


class OwnThread:
    """Lifecycle: asked from an event loop, ended once. The thread starts with the first call. It is a daemon:
    a call that never returns does not keep the process from ending, as it would on an executor's thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._asked: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hung = False

    async def call(self, work: Callable[[], T], timeout_s: float) -> T:
        """What `work` returns or raises. TimeoutError: it took longer than `timeout_s`, and may still run."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._ask(partial(_answer, answer, work))
        try:
            await asyncio.wait([answer], timeout=timeout_s)
            if not answer.done():
                self._hung = True
                raise TimeoutError
            return answer.result()
        finally:
            answer.cancel()  # a late answer reaches nobody

    def end(self, last: Callable[[], object]) -> None:
        """Do `last` after all that was asked, and stop; waits for neither. The process does, unless a call
        hangs: then `last` is done if that ever returns. Nothing is done where nothing was asked."""
        if self._thread is None:
            return
        self._ask(partial(outcome, last))
        self._asked.put(None)
        if not self._hung:
            threading.Thread(
                target=self._thread.join, args=(LAST_S,), name=f"{self._name}-end", daemon=False
            ).start()

    def _ask(self, call: Callable[[], object]) -> None:
        self._asked.put(call)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        for call in iter(self._asked.get, None):
            call()
            del call  # or what it holds would stay until the next


def _answer(answer: asyncio.Future[T], work: Callable[[], T]) -> None:
    tell([(answer, outcome(work))])
