"""The stopwatch of a worker: what it measures, turn by turn."""

from trace_gym.core.episode import Span
from trace_gym.rollout.stopwatch import Stopwatch


def test_each_part_of_a_turn_is_measured_and_a_rollout_enters_once() -> None:
    ticks = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    watch = Stopwatch("env-1", clock=lambda: next(ticks))
    watch.entered()
    watch.acted()
    assert watch.span() == Span("env-1", 1.0, 2.0, 3.0)
    watch.acted()
    assert watch.span() == Span("env-1", 0.0, 4.0, 5.0)
