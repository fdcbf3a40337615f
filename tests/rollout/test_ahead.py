"""Collecting ahead: in order, never further than allowed, and nothing is left running."""

import asyncio

import pytest

from trace_gym.rollout.ahead import Ahead


class Plays:
    """Steps that end when they are let; what began and what ended, in order."""

    def __init__(self):
        self.begun, self.ended, self.gates = [], [], {}

    async def play(self, step):
        self.begun.append(step)
        await self.gates.setdefault(step, asyncio.Event()).wait()
        self.ended.append(step)
        return f"step {step}"

    def let(self, *steps):
        for step in steps:
            self.gates.setdefault(step, asyncio.Event()).set()


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("staleness", "begun"), [(0, [3]), (1, [3, 4]), (2, [3, 4, 5]), (9, [3, 4, 5, 6])])
def test_no_step_is_played_further_ahead_than_allowed(staleness, begun):
    async def scenario():
        plays = Plays()
        plays.let(*range(10))
        async with Ahead(plays.play, staleness=staleness, end=7) as ahead:
            assert await ahead.take(3) == "step 3"
            await turns()
            assert plays.begun == begun
            assert [await ahead.take(step) for step in (4, 5, 6)] == ["step 4", "step 5", "step 6"]
        assert plays.ended == [3, 4, 5, 6]

    asyncio.run(scenario())


def test_a_step_begins_when_the_one_before_it_has_ended():
    async def scenario():
        plays = Plays()
        async with Ahead(plays.play, staleness=2, end=9) as ahead:
            first = asyncio.create_task(ahead.take(0))
            await turns()
            assert plays.begun == [0]
            plays.let(0)
            assert await first == "step 0"
            await turns()
            assert plays.begun == [0, 1]
        assert plays.ended == [0], "what was still being played is cancelled"

    asyncio.run(scenario())


def test_what_a_step_raises_reaches_whoever_takes_it_or_a_later_one():
    async def scenario():
        async def play(step):
            if step == 1:
                raise KeyError("step 1")
            return step

        async with Ahead(play, staleness=2, end=9) as ahead:
            assert await ahead.take(0) == 0
            await turns()
            for step in (1, 2):
                with pytest.raises(KeyError, match="step 1"):
                    await ahead.take(step)

    asyncio.run(scenario())


def test_a_negative_staleness_is_refused():
    with pytest.raises(ValueError, match="not negative, got -1"):
        Ahead(Plays().play, staleness=-1, end=1)
