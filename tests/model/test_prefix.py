"""The index of remembered prefixes against a plain list of what was inserted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_gym.core.tokens import IntArray, ids
from trace_gym.model.prefix import PrefixIndex, later

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=14), min_size=1, max_size=4)


def common(a: IntArray, b: IntArray) -> int:
    """Length of the longest common prefix."""
    shorter = min(len(a), len(b))
    differing = np.flatnonzero(a[:shorter] != b[:shorter])
    return int(differing[0]) if len(differing) else shorter


def test_prefixes_are_shared_and_one_token_is_left() -> None:
    index = PrefixIndex(capacity=10, block=2)
    assert index.insert([ids([1, 2, 3, 4, 5])]) == [(0, 0, 0), (0, 1, 1)]
    assert index.match(ids([1, 2, 3, 4, 9])) == [0, 1]
    assert index.match(ids([1, 2, 3, 4])) == [0]
    assert index.match(ids([1, 2])) == []
    assert index.insert([ids([1, 2, 7, 7]), ids([7, 7, 1, 2])]) == [(0, 1, 2), (1, 0, 3), (1, 1, 4)]
    assert index.match(ids([7, 7, 1, 2, 0])) == [3, 4]


def test_the_least_recently_used_is_forgotten_from_its_end() -> None:
    index = PrefixIndex(capacity=4, block=1)
    index.insert([ids([1, 2]), ids([3, 4])])
    assert index.match(ids([1, 2, 0])) == [0, 1]
    assert index.insert([ids([5])]) == [(0, 0, 3)]  # takes the number of 3 -> 4, the oldest leaf
    assert index.match(ids([3, 4, 0])) == [2]
    assert index.match(ids([1, 2, 0])) == [0, 1]


def test_one_insertion_never_forgets_its_own() -> None:
    index = PrefixIndex(capacity=3, block=1)
    assert index.insert([ids([1, 2]), ids([3, 4, 5])]) == [(0, 0, 0), (0, 1, 1), (1, 0, 2)]
    assert index.match(ids([1, 2, 0])) == [0, 1]


def test_without_capacity_nothing_is_remembered() -> None:
    index = PrefixIndex(capacity=0, block=1)
    assert index.insert([ids([1, 2])]) == []
    assert index.match(ids([1, 2])) == []


@given(st.lists(SEQUENCES, max_size=8), st.integers(1, 3))
def test_with_enough_room_every_common_prefix_is_found(rounds: list[list[list[int]]], block: int) -> None:
    index = PrefixIndex(capacity=1000, block=block)
    known: list[IntArray] = []
    for batch in rounds:
        for asked in map(ids, batch):
            longest = max((common(asked, old) // block for old in known), default=0)
            assert len(index.match(asked)) == min(longest, (len(asked) - 1) // block)
        index.insert([ids(sequence) for sequence in batch])
        known += map(ids, batch)


@given(st.lists(SEQUENCES, max_size=10), st.integers(1, 6), st.integers(1, 3))
def test_under_pressure_blocks_still_spell_what_was_asked(
    rounds: list[list[list[int]]], capacity: int, block: int
) -> None:
    index = PrefixIndex(capacity=capacity, block=block)
    content: dict[int, list[int]] = {}
    for batch in rounds:
        for asked in batch:
            spelled = [token for number in index.match(ids(asked)) for token in content[number]]
            assert spelled == asked[: len(spelled)]
        new = index.insert([ids(sequence) for sequence in batch])
        assert len({number for _, _, number in new}) == len(new)
        for which, place, number in new:
            content[number] = batch[which][place * block : (place + 1) * block]
        assert len(index) <= capacity


def test_clear_forgets_everything() -> None:
    index = PrefixIndex(capacity=5, block=1)
    index.insert([ids([1, 2, 3])])
    index.clear()
    assert index.match(ids([1, 2, 3])) == []
    assert index.insert([ids([1])]) == [(0, 0, 0)]


def test_nonsense_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="block must be positive"):
        PrefixIndex(capacity=1, block=0)


def test_those_that_begin_alike_wait_for_the_shortest_where_it_saves_enough() -> None:
    head = list(range(10))
    prompts = [ids([*head, 90, 91]), ids([*head, 92]), ids([7, 7, 7]), ids([*head, 93, 94, 95]), ids([7, 7])]
    assert later(prompts, [0] * 5, block=2, least=19) == {0, 3}
    assert later(prompts, [0] * 5, block=2, least=20) == set()
    assert later(prompts, [4, 4, 0, 4, 0], block=2, least=11) == {0, 3}
    assert later(prompts, [4, 4, 0, 4, 0], block=2, least=12) == set()
    assert later(prompts, [10, 10, 0, 10, 0], block=2, least=0) == set()
    assert later([ids([1, 2, 3])], [0], block=2, least=0) == set()
