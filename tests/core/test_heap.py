from __future__ import annotations

import gc
import weakref

import pytest

from trace_gym.core.heap import settled


class Knot:
    """Refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_there_is_left_alone_and_what_comes_is_collected() -> None:
    before = Knot()
    old = weakref.ref(before)
    with settled():
        frozen = gc.get_freeze_count()
        new = weakref.ref(Knot())
        del before
        gc.collect()
        assert frozen > 0
        assert new() is None
        assert old() is not None
    gc.collect()
    assert old() is None


def test_the_outermost_counts_and_an_error_ends_it_too() -> None:
    def failing() -> None:
        with settled():
            with settled():
                pass
            assert gc.get_freeze_count() > 0
            raise RuntimeError("over")

    with pytest.raises(RuntimeError, match="over"):
        failing()
    assert gc.get_freeze_count() == 0
