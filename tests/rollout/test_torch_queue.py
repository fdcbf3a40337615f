"""Who is let in when: order, room, patience, weights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from trace_gym.core.errors import ModelFailed
from trace_gym.core.policy import Checkpoint
from trace_gym.core.tokens import ids
from trace_gym.model.row import Row
from trace_gym.rollout.torch_queue import Job, Loading, Queue, Reading, Sampling


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    opened = asyncio.new_event_loop()
    yield opened
    opened.close()


def sampling(loop: asyncio.AbstractEventLoop, count: int) -> list[Sampling]:
    return [Sampling(Row(ids([number]), limit=1), loop.create_future()) for number in range(count)]


def take(
    queue: Queue,
    *,
    running: bool = False,
    at_least: int = 1,
    at_most: int = 9,
    room: Callable[[Sequence[Row]], int] = len,
) -> Sequence[Job] | Job:
    return queue.take(running=running, at_least=at_least, at_most=at_most, room=room)


def test_those_in_front_join_as_there_is_room(loop: asyncio.AbstractEventLoop) -> None:
    queue, jobs = Queue(), sampling(loop, 5)
    queue.put(jobs)
    assert take(queue, at_most=4, room=lambda rows: len(rows) - 1) == jobs[:3]
    assert take(queue) == jobs[3:]
    assert take(queue) == []


def test_until_a_crowd_waits_nobody_joins(loop: asyncio.AbstractEventLoop) -> None:
    queue, jobs = Queue(), sampling(loop, 3)
    queue.put(jobs[:2])
    assert take(queue, running=True, at_least=3) == []
    queue.put(jobs[2:])
    assert take(queue, running=True, at_least=3) == jobs


def test_a_crowd_is_never_more_than_may_join(loop: asyncio.AbstractEventLoop) -> None:
    queue, jobs = Queue(), sampling(loop, 3)
    queue.put(jobs)
    assert take(queue, running=True, at_least=5, at_most=2) == jobs[:2]


def test_weights_wait_for_the_batch_and_hold_up_those_behind(loop: asyncio.AbstractEventLoop) -> None:
    queue, (early, late) = Queue(), sampling(loop, 2)
    weights = Loading(Checkpoint(Path("somewhere"), 1), loop.create_future())
    queue.put([early, weights, late])
    assert take(queue) == [early]
    assert take(queue, running=True) == []
    assert take(queue) is weights
    assert take(queue) == [late]


def test_prompts_are_read_at_once_even_while_rows_run(loop: asyncio.AbstractEventLoop) -> None:
    queue, jobs = Queue(), sampling(loop, 2)
    reading = Reading([ids([1, 2])], loop.create_future())
    queue.put([reading, *jobs])
    assert take(queue, running=True, at_least=9) is reading
    assert take(queue) == jobs


def test_who_was_given_up_is_passed_over(loop: asyncio.AbstractEventLoop) -> None:
    queue, jobs = Queue(), sampling(loop, 3)
    queue.put(jobs)
    jobs[1].answer.cancel()
    assert take(queue) == [jobs[0], jobs[2]]


def test_once_closed_nothing_is_put_and_what_waits_is_known(loop: asyncio.AbstractEventLoop) -> None:
    queue, jobs = Queue(), sampling(loop, 2)
    queue.put(jobs)
    assert queue.wait(busy=lambda: False)
    queue.close()
    assert not queue.wait(busy=lambda: True)
    with pytest.raises(ModelFailed, match="closed"):
        queue.put(sampling(loop, 1))
    assert queue.left() == jobs
