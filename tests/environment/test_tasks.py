"""Lazy task sequences, and splits by family."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_gym.core.task import Split, Task
from trace_gym.environment.tasks import LazyTasks, straddling


def numbered(number, family="f"):
    return Task(str(number), "s", Split.TRAIN, family)


def test_tasks_are_made_only_when_asked_for():
    made = []

    def make(number):
        made.append(number)
        return numbered(number)

    tasks = LazyTasks(10**9, make)
    assert (len(tasks), made) == (10**9, [])
    assert tasks[123_456_789].id == "123456789"
    assert tasks[-1].id == "999999999"
    assert made == [123_456_789, 10**9 - 1]


bound = st.none() | st.integers(-30, 30)


@given(st.integers(0, 25), bound, bound, st.none() | st.integers(-4, 4).filter(bool))
def test_slices_are_those_of_a_list(count, start, stop, step):
    whole = [numbered(i) for i in range(count)]
    part = LazyTasks(count, numbered)[start:stop:step]
    assert isinstance(part, LazyTasks)
    assert list(part) == whole[start:stop:step]
    assert list(part[1:]) == whole[start:stop:step][1:]


def test_places_beyond_the_end_and_negative_counts_are_refused():
    with pytest.raises(IndexError):
        LazyTasks(3, numbered)[3]
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        LazyTasks(-1, numbered)


def test_families_on_both_sides_are_found():
    train = [numbered(1, "b"), numbered(2, "a"), numbered(3, "c")]
    test = [numbered(4, "a"), numbered(5, "d"), numbered(6, "b")]
    assert straddling(train, test) == ("a", "b")
    assert straddling(train, [numbered(7, "z")]) == ()
