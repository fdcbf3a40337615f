"""A rollout tree as a trie of token segments, every token once.

A context that siblings share is one segment, each turn's action another, in depth-first order. Leaves out
what the model is fed (`pack.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trace_gym.core.episode import Turn
from trace_gym.core.tokens import IntArray
from trace_gym.train.credit import Credit


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A run of tokens that has one parent segment (-1: none). `turn` is the turn whose sampled tokens these
    are and that is trained with `plus`, `minus`, `weight`; None for all that is context only. `owner`: the
    number of the tree and the turn's node."""

    parent: int
    token_ids: IntArray
    turn: Turn | None = None
    plus: float = 0.0
    minus: float = 0.0
    weight: float = 0.0
    owner: tuple[int, int] = (0, 0)


def segments(credit: Credit, *, number: int = 0, keep_weighted: bool = False) -> list[Segment]:
    """The tree's segments that training needs, parents first, in depth-first order.

    Needed is what carries an advantage (with `keep_weighted` also what carries only a weight, as a KL term
    does) and the context above it; the rest of the tree is not computed. Siblings with the same context
    share one copy; where contexts differ, each gets its own. `number` tells the tree from others.
    """
    trie: list[Segment] = []
    tip = {0: -1}
    contexts: dict[tuple[int, bytes], int] = {}
    for node, turn in enumerate(credit.tree.turns):
        if node == 0:
            continue
        at = tip[turn.parent]
        if len(turn.context_ids):
            key = (at, turn.context_ids.tobytes())
            if key not in contexts:
                contexts[key] = len(trie)
                trie.append(Segment(at, turn.context_ids))
            at = contexts[key]
        if len(turn.action_ids):
            numbers = (float(credit.plus[node]), float(credit.minus[node]), float(credit.weight[node]))
            live = any(numbers[:2]) or (keep_weighted and numbers[2] > 0)
            plain = Segment(at, turn.action_ids)
            trained = Segment(at, turn.action_ids, turn, *numbers, (number, node))
            trie.append(trained if live else plain)
            at = len(trie) - 1
        tip[node] = at
    return depth_first(trie)


def depth_first(trie: Sequence[Segment]) -> list[Segment]:
    """The segments with a trained one at or under them, children after parents in order of arrival."""
    needed = [segment.turn is not None for segment in trie]
    below: dict[int, list[int]] = {}
    for i in reversed(range(len(trie))):
        if needed[i]:
            below.setdefault(trie[i].parent, []).append(i)
            if trie[i].parent >= 0:
                needed[trie[i].parent] = True
    placed: dict[int, int] = {-1: -1}
    order: list[Segment] = []
    stack = list(below.get(-1, ()))
    while stack:
        i = stack.pop()
        placed[i] = len(order)
        order.append(replace(trie[i], parent=placed[trie[i].parent]))
        stack.extend(below.get(i, ()))
    return order


def size(trie: Sequence[Segment]) -> tuple[int, int]:
    """How many tokens it has, and how many of them are trained."""
    tokens = sum(len(segment.token_ids) for segment in trie)
    return tokens, sum(len(segment.token_ids) for segment in trie if segment.turn is not None)


def depth(trie: Sequence[Segment]) -> int:
    """How many tokens its longest path has."""
    ends: list[int] = []
    for segment in trie:
        ends.append((ends[segment.parent] if segment.parent >= 0 else 0) + len(segment.token_ids))
    return max(ends, default=0)


def split(trie: Sequence[Segment], budget: int, *, terms: int | None = None) -> list[list[Segment]]:
    """The trie as tries of at most `budget` tokens, at most `terms` of them trained (None: any number), cut
    at its forks, none of it lost.

    Leaves are taken in order while their paths fit. A path needed again is repeated as mere context, so
    each token is trained exactly once. A single path longer than the budget stays whole.
    """
    most = math.inf if terms is None else terms
    if all(own <= bound for own, bound in zip(size(trie), (budget, most), strict=True)):
        return [list(trie)] if trie else []
    inner = {segment.parent for segment in trie}
    pieces: list[list[Segment]] = []
    placed: dict[int, int] = {}
    trained: set[int] = set()
    tokens, count = 0, 0
    for leaf in (i for i in range(len(trie)) if i not in inner):
        path = _lineage(trie, leaf)
        fresh = [i for i in path if i not in placed]
        new = size([trie[i] for i in path if i not in trained])[1]
        if not pieces or tokens + size([trie[i] for i in fresh])[0] > budget or count + new > most:
            pieces.append([])
            placed, tokens, count, fresh = {-1: -1}, 0, 0, path
        tokens, count = tokens + size([trie[i] for i in fresh])[0], count + new
        for i in fresh:
            placed[i] = len(pieces[-1])
            copy = replace(trie[i], parent=placed[trie[i].parent])
            pieces[-1].append(replace(copy, turn=None) if i in trained else copy)
            trained.add(i)
    return pieces


def _lineage(trie: Sequence[Segment], leaf: int) -> list[int]:
    path = [leaf]
    while trie[path[-1]].parent >= 0:
        path.append(trie[path[-1]].parent)
    return path[::-1]
