"""One sequence for the model: tries behind one another, or a branch by itself, with what its trained tokens
carry.

Tries in depth-first order: token k is visible to token q iff k <= q < end[k]; a token's position is its
depth in tokens; the logits that predict it stand at its parent. Leaves out how rows share micro-batches
(`pack.py`) and what the numbers mean (`credit.py`, `loss.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trace_gym.core.episode import Actor, Turn
from trace_gym.core.tokens import IntArray
from trace_gym.train.credit import Branch, Credit
from trace_gym.train.trie import Segment

NO_VERSION = -1
"""Stands for an unknown policy version in the version stream."""
EVERY_BRANCH = -1
"""Stands for a leaf in the owner of a token that counts for all branches through it."""

STREAMS = 9
"""Numbers that every trained token carries."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One sequence of T tokens. `tokens`, `positions`, `end`, `parent` are (T,); `trained` (K,) says where
    the trained tokens stand, and `streams` (STREAMS, K) holds their A+, A-, weight, behaviour log-prob,
    entropy, policy version and owner."""

    tokens: NDArray[np.int64]
    positions: NDArray[np.int64]
    end: NDArray[np.int64]
    parent: NDArray[np.int64]
    trained: NDArray[np.int64]
    streams: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.tokens)

    def cut(self, length: int) -> Row:
        """Its first `length` tokens. Each sees what it saw, for all of that comes before it."""
        kept = self.trained < length
        return Row(
            tokens=self.tokens[:length],
            positions=self.positions[:length],
            end=np.minimum(self.end[:length], length),
            parent=self.parent[:length],
            trained=self.trained[kept],
            streams=self.streams[:, kept],
        )


def row(pieces: Iterable[Sequence[Segment]]) -> Row:
    """Several tries behind one another in one sequence; none sees another."""
    tokens: list[IntArray] = []
    spans: list[tuple[int, int, int, int]] = []
    trained: list[NDArray[np.int64]] = []
    streams: list[NDArray[np.float64]] = []
    offset = 0
    for trie in pieces:
        starts, depths, ends = _spans(trie, offset)
        for segment, start, depth, end in zip(trie, starts, depths, ends, strict=True):
            parent = starts[segment.parent] + len(trie[segment.parent].token_ids) - 1 if depth else -1
            spans.append((start, depth, end, parent))
            tokens.append(segment.token_ids)
            if segment.turn is not None:
                trained.append(np.arange(start, start + len(segment.token_ids)))
                numbers = (segment.plus, segment.minus, segment.weight)
                streams.append(_streams(segment.turn, *numbers, (*segment.owner, EVERY_BRANCH)))
        offset += sum(len(segment.token_ids) for segment in trie)
    lengths = [len(part) for part in tokens]
    first, deep, last, above = (np.repeat(column, lengths) for column in np.array(spans).T)
    index = np.arange(offset)
    return Row(
        tokens=np.concatenate(tokens).astype(np.int64),
        positions=deep + index - first,
        end=last,
        parent=np.where(index == first, above, index - 1),
        trained=np.concatenate(trained),
        streams=np.concatenate(streams, axis=1),
    )


def _spans(trie: Sequence[Segment], offset: int) -> tuple[list[int], list[int], list[int]]:
    """Where each segment starts, how many tokens lie above it, and where its descendants end."""
    starts: list[int] = []
    depths: list[int] = []
    ends = [0] * len(trie)
    for i, segment in enumerate(trie):
        starts.append(offset)
        above = segment.parent
        depths.append(depths[above] + len(trie[above].token_ids) if above >= 0 else 0)
        offset = ends[i] = offset + len(segment.token_ids)
    for i in reversed(range(1, len(trie))):
        above = trie[i].parent
        if above >= 0:
            ends[above] = max(ends[above], ends[i])
    return starts, depths, ends


def _streams(
    turn: Turn, plus: float, minus: float, weight: float, owner: tuple[int, int, int]
) -> NDArray[np.float64]:
    size = len(turn.action_ids)
    entropy = turn.entropy if len(turn.entropy) == size else np.full(size, np.nan)
    version = NO_VERSION if turn.policy_version is None else turn.policy_version
    flat = [np.full(size, number) for number in (plus, minus, weight, version, *owner)]
    return np.stack([*flat[:3], turn.logprobs, entropy, *flat[3:]]).astype(np.float64)


def live(credit: Credit, branch: Branch, *, keep_weighted: bool = False) -> NDArray[np.bool_]:
    """Which turns (D,) of a branch it trains: sampled by the policy, with a weight and an advantage (or, with
    `keep_weighted`, a weight alone)."""
    turns = [credit.tree.turns[node] for node in branch.nodes]
    sampled = np.array([turn.actor is Actor.POLICY and len(turn.action_ids) > 0 for turn in turns])
    trained: NDArray[np.bool_] = sampled & (branch.weights > 0)
    return trained if keep_weighted else trained & (branch.advantages != 0)


def chain(credit: Credit, branch: Branch, *, number: int, keep_weighted: bool = False) -> Row:
    """A branch of the tree of that number as a row by itself, with its own advantages and weights."""
    trained: list[NDArray[np.int64]] = []
    streams: list[NDArray[np.float64]] = []
    offset = 0
    on = live(credit, branch, keep_weighted=keep_weighted)
    for i, node in enumerate(branch.nodes):
        turn, gain, share = credit.tree.turns[node], branch.advantages[i], branch.weights[i]
        start = offset + len(turn.context_ids)
        offset = start + len(turn.action_ids)
        if on[i]:
            trained.append(np.arange(start, offset))
            owner = (number, node, branch.leaf)
            streams.append(_streams(turn, share * max(gain, 0.0), share * min(gain, 0.0), share, owner))
    return Row(
        tokens=credit.tree.tokens(branch.leaf).astype(np.int64),
        positions=np.arange(offset),
        end=np.full(offset, offset),
        parent=np.arange(-1, offset - 1),
        trained=np.concatenate(trained),
        streams=np.concatenate(streams, axis=1),
    )
