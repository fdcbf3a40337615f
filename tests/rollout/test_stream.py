"""Pools: shares, no repeats within a shuffle, and the same pool whenever it is asked for."""

import pytest

from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Split, Task
from trace_gym.rollout.stream import Source, TaskStream


def tasks(suite, count):
    return [Task(str(i), suite, Split.TRAIN, family="f") for i in range(count)]


def test_no_task_twice_until_the_shuffle_is_used_up():
    stream = TaskStream([Source("a", tasks("a", 10))], seed=3)
    seen = [task.id for step in range(5) for task in stream.pool(step, 2)]
    assert sorted(seen) == sorted(str(i) for i in range(10))
    again = [task.id for step in range(5, 10) for task in stream.pool(step, 2)]
    assert sorted(again) == sorted(seen)
    assert again != seen


def test_a_pool_never_holds_a_task_twice_when_shuffles_do_not_divide():
    stream = TaskStream([Source("a", tasks("a", 7))], seed=0)
    for step in range(20):
        ids = [task.id for task in stream.pool(step, 3)]
        assert len(set(ids)) == 3


def test_pools_depend_on_seed_and_step_alone():
    first = TaskStream([Source("a", tasks("a", 50))], seed=1)
    expected = [[t.id for t in first.pool(step, 8)] for step in range(6)]
    fresh = TaskStream([Source("a", tasks("a", 50))], seed=1)
    assert [t.id for t in fresh.pool(5, 8)] == expected[5]
    assert [t.id for t in TaskStream([Source("a", tasks("a", 50))], seed=2).pool(5, 8)] != expected[5]


def test_shares_by_largest_remainder_with_at_least_one_each():
    stream = TaskStream(
        [Source("a", tasks("a", 99), 6), Source("b", tasks("b", 99), 3), Source("c", tasks("c", 99), 0.01)],
        seed=0,
    )
    assert stream.settled(10) == {"a": 6, "b": 3, "c": 1}
    assert [len(stream.pool(0, 10))] == [10]
    with pytest.raises(BadConfig, match="cannot hold"):
        stream.quotas(2)


def test_floors_hold_whatever_the_shares_say():
    stream = TaskStream(
        [
            Source("a", tasks("a", 99), 8.0),
            Source("b", tasks("b", 99), 1.0, floor=0.2),
            Source("c", tasks("c", 99), 1.0),
        ],
        seed=0,
    )
    # b is lifted from .1 to its floor .2; a and c share the other .8 as 8 to 1.
    assert stream.settled(90) == {"a": 64, "b": 18, "c": 8}


def test_a_small_suite_gives_what_it_has():
    stream = TaskStream([Source("a", tasks("a", 3)), Source("b", tasks("b", 99))], seed=0)
    assert stream.settled(20) == {"a": 3, "b": 10}
    assert len({t.key for t in stream.pool(4, 20)}) == 13


def test_refusals():
    with pytest.raises(BadConfig, match="no training tasks"):
        Source("a", [])
    with pytest.raises(BadConfig, match="must be positive"):
        Source("a", tasks("a", 1), 0.0)
    with pytest.raises(BadConfig, match="at least one suite"):
        TaskStream([], seed=0)
