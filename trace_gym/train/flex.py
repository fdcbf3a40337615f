"""Tree attention for CUDA: FlexAttention over the tiles that a packed row's intervals leave.

Which tiles of 128 queries by 128 keys are seen in part or in whole follows from the least and the greatest
`end` of each tile of keys; no (T, T) mask exists at any time. The kernel is compiled once for all lengths.
Leaves out the CPU (`chains.py`), where FlexAttention has no backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import pad

TILE = 128


@dataclass(frozen=True, slots=True, eq=False)
class FlexPlan:
    """What a batch of rows needs to attend: made once, used by all layers."""

    mask: BlockMask

    @classmethod
    def of(cls, end: Tensor) -> FlexPlan:
        """The plan of rows whose token k is seen by q iff k <= q < end[k]; `end` (B, T)."""
        return cls(block_mask(end))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """query (B, H, T, D), key and value (B, H', T, D) -> (B, H, T, D). Under autocast in its dtype."""
        device = query.device.type
        if torch.is_autocast_enabled(device):
            narrow = torch.get_autocast_dtype(device)
            query, key, value = (states.to(narrow) for states in (query, key, value))
        shared = query.shape[1] != key.shape[1]
        found = _compiled()(query, key, value, block_mask=self.mask, scale=scaling, enable_gqa=shared)
        return cast(Tensor, found)


def tiles(end: Tensor, *, size: int = TILE) -> tuple[Tensor, Tensor]:
    """Which tiles are seen in part and which in whole, each bool (B, N, N) by tile of queries and of keys.

    With i, j the tiles of queries and keys, any(i, j) = (j <= i) & max end[j] > i * size and whole(i, j) =
    (j < i) & min end[j] >= (i + 1) * size. Places behind the row are seen by nobody.
    """
    rows, length = end.shape
    count = -(-length // size)
    tiled = pad(end, (0, count * size - length)).view(rows, count, size)
    last, first = tiled.amax(dim=-1)[:, None, :], tiled.amin(dim=-1)[:, None, :]
    index = torch.arange(count, device=end.device)
    start = (index * size)[:, None]
    seen = (index[None, :] <= index[:, None]) & (last > start)
    whole = (index[None, :] < index[:, None]) & (first >= start + size)
    return seen & ~whole, whole


def block_mask(end: Tensor, *, size: int = TILE) -> BlockMask:
    """The BlockMask of rows, from `end` (B, T)."""
    narrow = end.to(torch.int32).contiguous()

    def sees(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (query < narrow[row, key])

    part, whole = tiles(end, size=size)
    made: BlockMask = BlockMask.from_kv_blocks(
        *_listed(part), *_listed(whole), BLOCK_SIZE=size, mask_mod=sees, seq_lengths=(end.shape[1],) * 2
    )
    return made


def _listed(seen: Tensor) -> tuple[Tensor, Tensor]:
    """How many tiles of keys each tile of queries sees, (B, 1, N), and which, (B, 1, N, N), those first."""
    counts = seen.sum(dim=-1, dtype=torch.int32)
    order = seen.to(torch.int8).argsort(dim=-1, descending=True, stable=True).to(torch.int32)
    return counts[:, None].contiguous(), order[:, None].contiguous()


@cache
def _compiled() -> Callable[..., Any]:
    return torch.compile(flex_attention, dynamic=True)
