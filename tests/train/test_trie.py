"""Tries: which tokens are laid out, how often, and how a large tree is cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_gym.core.episode import Actor
from trace_gym.core.tokens import ids
from trace_gym.train.credit import Credit, credit
from trace_gym.train.trie import Segment, depth, segments, split


def path_tokens(trie: list[Segment], at: int) -> list[int]:
    tokens: list[int] = []
    while at >= 0:
        tokens = [int(i) for i in trie[at].token_ids] + tokens
        at = trie[at].parent
    return tokens


def trained(trie: Any) -> int:
    return sum(len(segment.token_ids) for segment in trie if segment.turn is not None)


def trained_above(trie: Any, at: int) -> int:
    path = []
    while at >= 0:
        path.append(trie[at])
        at = trie[at].parent
    return trained(path)


def size(trie: list[Segment]) -> int:
    return sum(len(segment.token_ids) for segment in trie)


def one(tree: Any) -> Credit:
    return credit([tree])[0]


def test_siblings_share_their_context(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True)
    gardener.play(tree, False)
    trie = segments(one(tree))
    assert [segment.parent for segment in trie] == [-1, 0, 0]
    assert [segment.turn is None for segment in trie] == [True, False, False]
    assert trie[0].token_ids.tolist() == tree.turns[1].context_ids.tolist()


def test_siblings_whose_contexts_differ_do_not(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True)
    gardener.play(tree, False)
    tree.turns[2] = replace(tree.turns[2], context_ids=ids([*tree.turns[2].context_ids, 3]))
    trie = segments(one(tree))
    assert [segment.parent for segment in trie] == [-1, 0, -1, 2]


def test_what_is_not_trained_is_not_laid_out(gardener: Any) -> None:
    tree = gardener.plant()
    actors = [Actor.POLICY, Actor.ORACLE, Actor.POLICY, Actor.AGENT]
    gardener.play(tree, True, turns=4, actors=actors)
    gardener.play(tree, False, turns=1)
    laid = [s.turn for s in segments(one(tree)) if s.turn is not None]
    assert laid == [tree.turns[1], tree.turns[3], tree.turns[5]]
    contexts = [s.token_ids.tolist() for s in segments(one(tree)) if s.turn is None]
    assert tree.turns[2].action_ids.tolist() in contexts
    assert tree.turns[4].action_ids.tolist() not in contexts


def test_a_tree_without_contrast_is_not_laid_out(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True)
    gardener.play(tree, True)
    assert segments(one(tree)) == []
    assert len(segments(one(tree), keep_weighted=True)) == 3
    assert split([], 10) == []


def test_turns_without_tokens_are_stepped_over(gardener: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=2, actors=[Actor.AGENT])
    gardener.play(tree, False, turns=1, anchor=1)
    tree.turns[1] = replace(
        tree.turns[1], context_ids=ids(), action_ids=ids(), logprobs=tree.turns[0].logprobs
    )
    assert [segment.parent for segment in segments(one(tree))] == [-1, 0, 0]


@given(
    seed=st.integers(0, 10_000),
    budget=st.integers(1, 60),
    terms=st.one_of(st.none(), st.integers(1, 20)),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_splitting_loses_nothing(gardeners: Any, seed: int, budget: int, terms: int | None) -> None:
    tree = gardeners(seed).wild()
    trie = segments(one(tree))
    longest = max(len(path_tokens(trie, i)) for i in range(len(trie)))
    inner = {segment.parent for segment in trie}
    alone = max(trained_above(trie, i) for i in range(len(trie)) if i not in inner)
    most = 10**9 if terms is None else terms
    pieces = split(trie, budget, terms=terms)
    for piece in pieces:
        assert size(piece) <= max(budget, longest)
        assert trained(piece) <= max(most, alone)
        assert any(segment.turn is not None for segment in piece)
    whole = {id(s.turn): path_tokens(trie, i) for i, s in enumerate(trie) if s.turn is not None}
    cut = [(id(s.turn), path_tokens(p, i)) for p in pieces for i, s in enumerate(p) if s.turn is not None]
    assert dict(cut) == whole
    assert len(cut) == len(whole)
    assert (len(pieces) == 1) or size(trie) > budget or trained(trie) > most


def test_a_tree_within_the_budget_stays_whole(gardener: Any) -> None:
    trie = segments(one(gardener.wild()))
    assert split(trie, size(trie)) == [trie]
    assert len(split(trie, size(trie) - 1)) > 1


@pytest.mark.parametrize("seed", range(5))
def test_order_is_depth_first(gardeners: Any, seed: int) -> None:
    trie = segments(one(gardeners(seed).wild()))
    for i, segment in enumerate(trie):
        assert segment.parent < i
        at = i - 1
        while at >= 0 and at != segment.parent:
            at = trie[at].parent
        assert at == segment.parent


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_depth_is_the_longest_path(gardeners: Any, seed: int) -> None:
    tree = gardeners(seed).wild()
    trie = segments(one(tree))
    trained = [n for n, turn in enumerate(tree.turns) if any(turn is s.turn for s in trie)]
    assert depth(trie) == max(len(tree.tokens(n)) for n in trained)
    assert depth([]) == 0
