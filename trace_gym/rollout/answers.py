"""Answers on their way from a thread to those who wait on an event loop, which is woken once for all of them.

Leaves out what is answered.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

Answers: TypeAlias = Sequence[tuple[asyncio.Future[Any], object]]


def tell(answers: Answers) -> None:
    """Give every future its answer; an exception is raised to whoever waits. Futures that nobody waits for
    any more, and loops that are closed, are passed over. Called from any thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], object]]] = defaultdict(list)
    for answer, value in answers:
        by_loop[answer.get_loop()].append((answer, value))
    for loop, mine in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed, perhaps only just
            loop.call_soon_threadsafe(hand_out, mine)


def hand_out(answers: Answers) -> None:
    """The same on the futures' own loop, at once."""
    for answer, value in answers:
        if answer.done():
            continue
        if isinstance(value, BaseException):
            answer.set_exception(value)
        else:
            answer.set_result(value)


def outcome(work: Callable[[], object]) -> object:
    """What it returned, or the exception it raised."""
    try:
        return work()
    except BaseException as error:  # noqa: BLE001  (its caller's to handle; it must not end the thread)
        return error
