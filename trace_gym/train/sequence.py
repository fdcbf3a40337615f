"""Branches as wholes: what is measured over all of a branch's tokens, and factors of branches brought back to
tokens that several branches share.

Pure, in numpy. Sums of factor times advantage over the branches through a token are exact for every loss that
is linear in them; nothing is linear in a branch's ratio, so losses on it pass coefficients (see `gspo`).
Leaves out what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trace_gym.core.episode import Actor
from trace_gym.train.credit import Credit
from trace_gym.train.loss import Clip
from trace_gym.train.outline import Vector
from trace_gym.train.pack import MicroBatch

Index: TypeAlias = NDArray[np.int64]
Total: TypeAlias = Callable[[Vector], Vector]
"""Sums (N,) over all processes that hold a part of the micro-batches."""


def alone(values: Vector) -> Vector:
    """The total of one process."""
    return values


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """The S branches of some trees, as E entries: one for every branch and turn of it that the policy played.

    `branch`, `node` (E,) number the branches and the N distinct turns, `length` (E,) are the turns' tokens;
    `plus`, `minus`, `weight` (E,) what a branch adds to its turn's A+, A- and weight. `nodes` and `entries`
    find a token's turn or entry by (tree, node) or (tree, node, leaf), with trees numbered as `pack` numbers
    them, by their place: trees of several forests may have the same index.
    """

    branch: Index
    node: Index
    length: Vector
    plus: Vector
    minus: Vector
    weight: Vector
    nodes: Mapping[tuple[int, int], int]
    entries: Mapping[tuple[int, int, int], int]

    @classmethod
    def of(cls, credits_: Sequence[Credit]) -> Self:
        """The branches of credited trees, given in the order in which they are packed."""
        nodes: dict[tuple[int, int], int] = {}
        entries: dict[tuple[int, int, int], int] = {}
        rows: list[tuple[float, ...]] = []
        branches = ((at, c.tree, branch) for at, c in enumerate(credits_) for branch in c.branches)
        for number, (at, tree, branch) in enumerate(branches):
            for node, gain, share in zip(branch.nodes, branch.advantages, branch.weights, strict=True):
                turn = tree.turns[node]
                if turn.actor is Actor.POLICY and len(turn.action_ids):
                    place = nodes.setdefault((at, node), len(nodes))
                    entries[at, node, branch.leaf] = len(rows)
                    plus, minus = share * max(gain, 0.0), share * min(gain, 0.0)
                    rows.append((number, place, len(turn.action_ids), plus, minus, share))
        table = np.array(rows, dtype=np.float64).reshape(-1, 6)
        which = table[:, :2].astype(np.int64)
        length, plus, minus, weight = table[:, 2:].T
        return cls(which[:, 0], which[:, 1], length, plus, minus, weight, nodes, entries)

    def __len__(self) -> int:
        return int(self.branch.max()) + 1 if len(self.branch) else 0

    def means(
        self, batches: Sequence[MicroBatch], values: Sequence[Tensor], *, total: Total = alone
    ) -> Vector:
        """(S,) the mean over each branch's tokens of `values`, given per micro-batch as (K,)."""
        found = np.concatenate([v.detach().double().cpu().numpy() for v in values])
        node = np.concatenate([self._node_of(self._places(batch)) for batch in batches])
        ones = np.ones(len(node))
        count, sums = (total(np.asarray(np.bincount(node, x, len(self.nodes)))) for x in (ones, found))
        mean = sums / np.maximum(count, 1.0)
        whole = np.bincount(self.branch, self.length * mean[self.node], len(self))
        return np.asarray(whole / np.bincount(self.branch, self.length, len(self)).clip(min=1.0))

    def kept(self, factor: Vector) -> Self:
        """The same with everything that branch s adds multiplied by factor[s]."""
        by = factor[self.branch]
        return replace(self, plus=self.plus * by, minus=self.minus * by, weight=self.weight * by)

    def collapsed(self, batch: MicroBatch, *, plus: Vector, minus: Vector) -> MicroBatch:
        """The micro-batch with its A+ and A- made anew: those of branch s times plus[s] and minus[s]; its
        weights as they stand here."""
        places = self._places(batch)
        streams = (self.plus * plus[self.branch], self.minus * minus[self.branch], self.weight)
        up, down, weight = (
            torch.from_numpy(np.concatenate([np.bincount(self.node, s, len(self.nodes)), s])[places])
            for s in streams
        )
        return replace(batch, plus=up, minus=down, weight=weight)

    def _places(self, batch: MicroBatch) -> Index:
        """(K,) where each token's numbers stand among those of the N turns and, after them, the E entries."""
        if not len(batch.owner):
            return np.zeros(0, dtype=np.int64)
        owners, back = np.unique(batch.owner.cpu().numpy(), axis=0, return_inverse=True)
        found = [
            self.nodes[tree, node] if leaf < 0 else len(self.nodes) + self.entries[tree, node, leaf]
            for tree, node, leaf in owners.tolist()
        ]
        return np.array(found, dtype=np.int64)[back.reshape(-1)]

    def _node_of(self, places: Index) -> Index:
        return np.concatenate([np.arange(len(self.nodes)), self.node])[places]


def gspo(log_ratio: Vector, clip: Clip) -> tuple[Vector, Vector]:
    """What branches with mean log-ratios (S,) multiply A+ and A- of their tokens by: s = exp(mean log r)
    where the clip lets the gradient of min(s A, clip(s) A) through, else 0 (GSPO, arXiv 2507.18071).

    d s / d log pi_t = s / |o|; the division by the length is that of a loss `per` branch.
    """
    s = np.exp(log_ratio)
    low = s >= 1.0 - clip.low
    if clip.dual is not None:
        low &= s <= clip.dual
    return s * (s <= 1.0 + clip.high), s * low
