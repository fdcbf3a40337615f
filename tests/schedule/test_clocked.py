"""Stopwatches: the same decisions, and the time they took."""

import itertools

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.predictor import Prefix
from trace_gym.schedule.beta import BetaPredictor
from trace_gym.schedule.clocked import ClockedPredictor, ClockedScheduler, Stopwatch
from trace_gym.schedule.trace import Trace
from trace_gym.testing import check_scheduler, grow_forest


def ticking() -> Stopwatch:
    ticks = itertools.count()
    return Stopwatch(lambda: float(next(ticks)))


def test_a_clocked_scheduler_keeps_the_protocol() -> None:
    check_scheduler(lambda: ClockedScheduler(Trace(seed=1)))


def test_every_call_is_counted_and_changes_nothing(world) -> None:
    one, two = world(values=[0.5] * 3, turns=[3] * 3), world(values=[0.5] * 3, turns=[3] * 3)
    clocked = ClockedScheduler(Trace(seed=1), watch=ticking())
    one.step(clocked, Budget(trajectories=9))
    two.step(Trace(seed=1), Budget(trajectories=9))
    assert one.decisions() == two.decisions()
    assert clocked.watch.take() == 2 + len(one.events)
    assert clocked.watch.take() == 0.0
    assert (clocked.pool_size, clocked.forks, clocked.hears_turns) == (None, True, False)


def test_a_predictor_is_counted_too() -> None:
    clocked = ClockedPredictor(BetaPredictor(), watch=ticking())
    clocked.learn(grow_forest(["0 1 1 +"]))
    asked = [Prefix("toy/t0", "toy", 0, 20)]
    again = BetaPredictor()
    again.load_state_dict(clocked.state_dict())
    assert clocked.predict(asked) == again.predict(asked)
    assert clocked.watch.take() == 2.0


def test_time_counts_where_it_raises() -> None:
    watch = ticking()
    with pytest.raises(KeyError), watch.running():
        raise KeyError
    assert watch.take() == 1.0
