"""Rollout trees laid out for the model, every token once.

Trees share rows and rows share micro-batches. Leaves out how a row is laid out (`row.py`), the model
(`logprob.py`) and what the numbers mean (`credit.py`, `loss.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trace_gym.train.credit import Credit
from trace_gym.train.row import Row, chain, live, row
from trace_gym.train.trie import Segment, depth, segments, size, split


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatch:
    """What one forward pass takes: B rows padded to T, and K trained tokens.

    `token_ids`, `position_ids`, `end` are (B, T); `predictor` and `target` (K,) index the flattened (B*T,):
    the token at `target` is predicted by the logits at `predictor`. `plus`, `minus`, `weight`, `behaviour`,
    `entropy` are float64 (K,), `version` int64 (K,); `owner` int64 (K, 3): the place of a token's tree among
    those packed, its node, and the leaf of the branch it counts for. `chains`: rows are plain sequences, for
    which a model's own causal mask will do.
    """

    token_ids: Tensor
    position_ids: Tensor
    end: Tensor
    lengths: Tensor
    predictor: Tensor
    target: Tensor
    plus: Tensor
    minus: Tensor
    weight: Tensor
    behaviour: Tensor
    entropy: Tensor
    version: Tensor
    owner: Tensor
    chains: bool

    def to(self, device: torch.device) -> MicroBatch:
        """The same on another device."""
        moved = {n: getattr(self, n).to(device) for n in self.__slots__ if n != "chains"}
        return MicroBatch(**moved, chains=self.chains)

    @property
    def computed(self) -> int:
        """Tokens that a forward pass computes, padding included."""
        return self.token_ids.numel()


@dataclass(frozen=True, slots=True)
class PackStats:
    """Tokens of the trained branches. `raw`: every branch by itself; `unique`: each token once; `computed`:
    with the paths that splitting repeats, and padding."""

    raw: int = 0
    unique: int = 0
    computed: int = 0

    def __add__(self, other: PackStats) -> PackStats:
        return PackStats(self.raw + other.raw, self.unique + other.unique, self.computed + other.computed)


@dataclass(frozen=True, slots=True)
class Layout:
    """How to lay out. A micro-batch has up to `token_budget` tokens, padding included, of which up to
    `term_budget` (None: any number) are trained: rows of up to `row_tokens` that hold several trees (a larger
    tree has one to itself, and is split if it exceeds a budget), or, with `packed` False and of trees deeper
    than `depth` or of more tokens than `extent` (None: of none), which rows of trees do not exceed, rows of
    one branch each. `keep_weighted`: compute tokens
    that carry a weight but no advantage. Row lengths are multiples of `multiple`."""

    token_budget: int = 4096
    row_tokens: int = 4096
    packed: bool = True
    keep_weighted: bool = False
    multiple: int = 1
    term_budget: int | None = None
    depth: int | None = None
    extent: int | None = None

    def __post_init__(self) -> None:
        for name in ("token_budget", "row_tokens", "multiple", "term_budget", "depth", "extent"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def pack(credits_: Sequence[Credit], layout: Layout) -> tuple[list[MicroBatch], PackStats]:
    """Micro-batches that train every credited token once; ValueError for an action without a context."""
    keep = layout.keep_weighted
    alone = [
        (number, credit, branch)
        for number, credit in enumerate(credits_)
        for branch in credit.branches
        if live(credit, branch, keep_weighted=keep).any()
    ]
    tries = [segments(c, number=number, keep_weighted=keep) for number, c in enumerate(credits_)]
    whole = [layout.packed and _fits(trie, layout) for trie in tries]
    rows = _rows([trie for trie, on in zip(tries, whole, strict=True) if on], layout)
    leaves = [chain(c, b, number=n, keep_weighted=keep) for n, c, b in alone if not whole[n]]
    batches = [
        stack(group, multiple=layout.multiple, chains=chains)
        for made, chains in ((rows, False), (leaves, True))
        for group in batched(made, layout.token_budget, terms=layout.term_budget, multiple=layout.multiple)
    ]
    return batches, PackStats(
        raw=sum(len(credit.tree.tokens(branch.leaf)) for _, credit, branch in alone),
        unique=sum(len(segment.token_ids) for trie in tries for segment in trie),
        computed=sum(batch.computed for batch in batches),
    )


def _fits(trie: Sequence[Segment], layout: Layout) -> bool:
    """May the tree stand in a row?"""
    deep, long = (math.inf if most is None else most for most in (layout.depth, layout.extent))
    return depth(trie) <= deep and size(trie)[0] <= long


def _rows(tries: Iterable[Sequence[Segment]], layout: Layout) -> list[Row]:
    """Tries, longest first, each into the first row that has room."""
    budget = max(1, layout.token_budget // layout.multiple) * layout.multiple
    room = min(layout.row_tokens, budget, layout.extent or budget), layout.term_budget or math.inf
    pieces = [p for trie in tries for p in split(trie, budget, terms=layout.term_budget)]
    filled: list[tuple[int, int]] = []
    rows: list[list[Sequence[Segment]]] = []
    for (tokens, terms), piece in sorted(((size(p), p) for p in pieces), key=lambda pair: -pair[0][0]):
        sums = [(used + tokens, trained + terms) for used, trained in filled]
        fits = (i for i, (length, count) in enumerate(sums) if length <= room[0] and count <= room[1])
        spot = next(fits, len(rows))
        if spot == len(rows):
            rows.append([])
            filled.append((0, 0))
        rows[spot].append(piece)
        filled[spot] = filled[spot][0] + tokens, filled[spot][1] + terms
    return [row(content) for content in rows]


def batched(
    rows: Iterable[Row], budget: int, *, terms: int | None = None, multiple: int = 1
) -> list[list[Row]]:
    """Rows, longest first, in groups of at most `budget` tokens, padding to a `multiple` included, at most
    `terms` of them trained; a row that exceeds them is alone."""
    groups: list[list[Row]] = []
    most = math.inf if terms is None else terms
    for made in sorted(rows, key=len, reverse=True):
        last = groups[-1] if groups else []
        trained = sum(len(each.trained) for each in last) + len(made.trained)
        if not last or _width(last, multiple) * (len(last) + 1) > budget or trained > most:
            groups.append([])
        groups[-1].append(made)
    return groups


def _width(rows: Sequence[Row], multiple: int) -> int:
    """How long each of these rows is in a micro-batch of them."""
    return -(-max(len(made) for made in rows) // multiple) * multiple


def stack(rows: Sequence[Row], *, multiple: int = 1, chains: bool = False) -> MicroBatch:
    """Rows as one micro-batch, padded to the longest, rounded up to a `multiple`. Padding sees only
    itself."""
    width = _width(rows, multiple)
    tokens, positions = (np.zeros((len(rows), width), dtype=np.int64) for _ in range(2))
    end = np.tile(np.arange(1, width + 1), (len(rows), 1))
    predictor, target = [], []
    for i, made in enumerate(rows):
        tokens[i, : len(made)], positions[i, : len(made)] = made.tokens, made.positions
        end[i, : len(made)] = made.end
        above = made.parent[made.trained]
        if (above < 0).any():
            raise ValueError("a trained action needs at least one context token before it")
        predictor.append(above + i * width)
        target.append(made.trained + i * width)
    streams = np.concatenate([made.streams for made in rows], axis=1)
    plus, minus, weight, behaviour, entropy = (torch.from_numpy(stream.copy()) for stream in streams[:5])
    return MicroBatch(
        token_ids=torch.from_numpy(tokens),
        position_ids=torch.from_numpy(positions),
        end=torch.from_numpy(end),
        lengths=torch.tensor([len(made) for made in rows]),
        predictor=torch.from_numpy(np.concatenate(predictor)),
        target=torch.from_numpy(np.concatenate(target)),
        plus=plus,
        minus=minus,
        weight=weight,
        behaviour=behaviour,
        entropy=entropy,
        version=torch.from_numpy(streams[5].astype(np.int64)),
        owner=torch.from_numpy(streams[6:].T.astype(np.int64)),
        chains=chains,
    )
