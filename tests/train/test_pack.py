"""Packed tensors against what the tree says about every token by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_gym.core.episode import Actor, Turn
from trace_gym.core.tokens import floats, ids
from trace_gym.train.attention import tree_mask
from trace_gym.train.credit import Credit, credit
from trace_gym.train.pack import Layout, MicroBatch, batched, pack, stack
from trace_gym.train.row import Row, row
from trace_gym.train.trie import Segment


def seen(batch: MicroBatch, at: int) -> list[int]:
    """The tokens that the flat position `at` attends to, in order of position: its past and itself."""
    width = batch.token_ids.shape[1]
    line, column = divmod(at, width)
    visible = tree_mask(batch.end)[line, 0, column].nonzero().flatten().tolist()
    assert batch.position_ids[line][visible].tolist() == list(range(len(visible)))
    tokens: list[int] = batch.token_ids[line][visible].tolist()
    return tokens


def trained(batches: list[MicroBatch]) -> Counter[tuple[tuple[int, ...], float, float, float]]:
    """Every trained token as (its whole past and itself, A+, A-, weight)."""
    found: Counter[tuple[tuple[int, ...], float, float, float]] = Counter()
    for batch in batches:
        streams = zip(batch.plus.tolist(), batch.minus.tolist(), batch.weight.tolist(), strict=True)
        for predictor, target, numbers in zip(
            batch.predictor.tolist(), batch.target.tolist(), streams, strict=True
        ):
            past = seen(batch, target)
            assert seen(batch, predictor) == past[:-1]
            found[(tuple(past), *(round(n, 12) for n in numbers))] += 1
    return found


def expected(credits_: list[Credit]) -> Counter[tuple[tuple[int, ...], float, float, float]]:
    """The same, read off the trees."""
    found: Counter[tuple[tuple[int, ...], float, float, float]] = Counter()
    for made in credits_:
        for node, turn in enumerate(made.tree.turns):
            numbers = tuple(round(float(s[node]), 12) for s in (made.plus, made.minus, made.weight))
            whole = [int(i) for i in made.tree.tokens(node)]
            for i in range(len(turn.action_ids)) if any(numbers[:2]) else ():
                end = len(whole) - len(turn.action_ids) + i + 1
                found[(tuple(whole[:end]), *numbers)] += 1
    return found


@given(
    seed=st.integers(0, 10_000),
    budget=st.sampled_from([8, 25, 60, 4096]),
    line=st.sampled_from([10, 40, 4096]),
    terms=st.sampled_from([None, 12, 40]),
    multiple=st.sampled_from([1, 8, 32]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_token_once_with_its_own_past(
    gardeners: Any, seed: int, budget: int, line: int, terms: int | None, multiple: int
) -> None:
    garden = gardeners(seed)
    for _ in range(3):
        garden.wild()
    credits_ = credit(garden.trees)
    layout = Layout(token_budget=budget, row_tokens=line, term_budget=terms, multiple=multiple)
    batches, stats = pack(credits_, layout)
    assert trained(batches) == expected(credits_)
    alone = max(len(t.action_ids) for made in credits_ for t in made.tree.turns) * 8
    assert terms is None or all(len(batch.behaviour) <= max(terms, alone) for batch in batches)
    for batch in batches:
        assert batch.computed <= budget or batch.token_ids.shape[0] == 1
    unique = {
        tuple(int(i) for i in tokens[: k + 1]) for tokens in _paths(credits_) for k in range(len(tokens))
    }
    assert stats.unique >= len(unique)
    assert stats.computed >= stats.unique


def _paths(credits_: list[Credit]) -> list[list[int]]:
    """The token path to every trained turn."""
    return [
        [int(i) for i in made.tree.tokens(node)]
        for made in credits_
        for node in range(len(made.tree.turns))
        if made.plus[node] or made.minus[node]
    ]


def test_streams_and_statistics_by_hand(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=2)
    gardener.play(tree, False, turns=1, anchor=1)
    turns = tree.turns
    (batch,), stats = pack(credit([tree]), Layout())
    shared = len(turns[1].context_ids) + len(turns[1].action_ids) + len(turns[2].context_ids)
    assert stats.unique == shared + len(turns[2].action_ids) + len(turns[3].action_ids)
    assert stats.raw == 2 * shared + len(turns[2].action_ids) + len(turns[3].action_ids)
    assert stats.computed == batch.computed == stats.unique
    lengths = [len(t.action_ids) for t in turns[1:]]
    assert batch.weight.tolist() == [
        w for w, n in zip((1.0, 0.5, 0.5), lengths, strict=True) for _ in range(n)
    ]
    assert batch.behaviour.tolist() == [-1.0] * sum(lengths)
    assert batch.entropy.tolist() == [0.5] * sum(lengths)
    assert batch.version.tolist() == [0] * sum(lengths)


def test_intervals_by_hand() -> None:
    """A context of two tokens with actions of one and two under it; then the same again in the same row."""
    trie = [
        Segment(-1, ids([4, 5])),
        Segment(0, ids([6]), acted(6), plus=0.5, weight=0.5),
        Segment(0, ids([7, 8]), acted(7, 8), minus=-0.5, weight=0.5),
    ]
    line = row([trie, trie])
    assert line.tokens.tolist() == [4, 5, 6, 7, 8] * 2
    assert line.positions.tolist() == [0, 1, 2, 2, 3] * 2
    assert line.end.tolist() == [5, 5, 3, 5, 5, 10, 10, 8, 10, 10]
    assert line.parent.tolist() == [-1, 0, 1, 1, 3, -1, 5, 6, 6, 8]
    assert line.trained.tolist() == [2, 3, 4, 7, 8, 9]
    assert line.streams[:3].T.tolist() == [[0.5, 0, 0.5], [0, -0.5, 0.5], [0, -0.5, 0.5]] * 2


def acted(*tokens: int) -> Turn:
    return Turn(0, 0, Actor.POLICY, "", action_ids=ids(tokens), logprobs=floats([-1.0] * len(tokens)))


def test_unknown_entropy_and_version_are_told_apart(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True)
    gardener.play(tree, False)
    for node in (1, 2):
        tree.turns[node] = replace(tree.turns[node], entropy=floats(), policy_version=None)
    (batch,), _ = pack(credit([tree]), Layout())
    assert bool(batch.entropy.isnan().all())
    assert set(batch.version.tolist()) == {-1}


def test_leaf_by_leaf_rows_are_the_branches(gardener: Any) -> None:
    tree = gardener.wild()
    (made,) = credit([tree])
    batches, stats = pack([made], Layout(packed=False))
    rows = [
        batch.token_ids[i, : int(batch.lengths[i])].tolist()
        for batch in batches
        for i in range(len(batch.lengths))
    ]
    assert sorted(rows) == sorted(tree.tokens(branch.leaf).tolist() for branch in made.branches)
    assert stats.raw == sum(len(line) for line in rows)
    mass = sum(float(batch.weight.sum()) for batch in batches)
    assert mass == pytest.approx(
        sum(w * len(t.action_ids) for w, t in zip(made.weight, tree.turns, strict=True))
    )


def test_padding_is_seen_by_nobody_and_sees_itself() -> None:
    def line(size: int) -> Row:
        index = np.arange(size)
        return Row(index, index, np.full(size, size), index - 1, index[1:], np.zeros((6, size - 1)))

    batch = stack([line(3), line(5)], multiple=4)
    assert batch.token_ids.shape == (2, 8)
    mask = tree_mask(batch.end)[:, 0]
    for i, size in enumerate((3, 5)):
        assert not mask[i, :size, size:].any()
        assert mask[i, size:, size:].equal(torch.eye(8 - size, dtype=torch.bool))
        assert not mask[i, size:, :size].any()


@pytest.mark.parametrize(
    ("budget", "widths"), [(24, [(3, 8)]), (23, [(2, 8), (1, 8)]), (8, [(1, 8)] * 3), (7, [(1, 8)] * 3)]
)
def test_a_budget_counts_rows_as_long_as_they_are_made(budget: int, widths: list[tuple[int, int]]) -> None:
    index = np.arange(5)
    line = Row(index, index, np.full(5, 5), index - 1, index[1:], np.zeros((9, 4)))
    groups = batched([line] * 3, budget, multiple=8)
    assert [tuple(stack(group, multiple=8).token_ids.shape) for group in groups] == widths


def test_a_full_row_stays_in_the_budget_when_it_is_rounded_up(gardeners: Any) -> None:
    garden = gardeners(0, tokens=(2, 3))
    for _ in range(40):
        tree = garden.plant()
        garden.play(tree, True)
        garden.play(tree, False)
    for budget in (60, 64, 100):
        batches, _ = pack(credit(garden.trees), Layout(token_budget=budget, row_tokens=budget, multiple=32))
        assert all(batch.computed <= budget for batch in batches)


def test_an_action_without_a_context_is_refused(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True)
    gardener.play(tree, False)
    tree.turns[1] = replace(tree.turns[1], context_ids=ids())
    for packed in (True, False):
        with pytest.raises(ValueError, match="at least one context token"):
            pack(credit([tree]), Layout(packed=packed))


def test_bad_layouts_are_refused() -> None:
    for name in ("token_budget", "row_tokens", "multiple", "term_budget"):
        with pytest.raises(ValueError, match=name):
            Layout(**{name: 0})
