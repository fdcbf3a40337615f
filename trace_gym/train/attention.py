"""Attention over packed trees, for unmodified Hugging Face models.

Two ways to the same numbers. *Dense*: any model, a (T, T) mask. *Blocks*: queries in blocks of consecutive
tokens, each against only those keys that some query of the block may see: its own branch, gathered. The cost
is that of the tree instead of T squared, and no (T, T) mask exists. Leaves out kernels for accelerators:
they are other values of `TREE_ATTENTION` with other masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

TREE_ATTENTION = "trace_gym_tree"
"""The name under which `install` makes this attention known to transformers."""
BLOCK = 128
"""Queries per block: fewer see fewer keys in vain, more make larger matrices."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Queries [start, stop) and, in order, the `keys` (K,) that any of them sees; `mask` (stop - start, K) is
    added to scores: 0 where a query sees a key, -inf where not."""

    start: int
    stop: int
    keys: Tensor
    mask: Tensor


class Planned(Protocol):
    """A tensor that carries its plan through the model."""

    blocks: list[Block]


def tree_mask(end: Tensor) -> Tensor:
    """Who sees whom: `end` (B, T) -> bool (B, 1, T, T), [b, 0, q, k] true iff k <= q < end[b, k]."""
    index = torch.arange(end.shape[1], device=end.device)
    return ((index[None, :] <= index[:, None]) & (index[:, None] < end[:, None, :])).unsqueeze(1)


def dense(end: Tensor, *, dtype: torch.dtype) -> Tensor:
    """The mask (B, 1, T, T) in the form that is added to scores: every attention takes it, and one copy
    serves all layers, where SDPA would turn a boolean one into a copy for each."""
    seen = tree_mask(end)
    return torch.zeros(seen.shape, dtype=dtype, device=end.device).masked_fill_(~seen, -torch.inf)


def planned(end: Tensor, *, dtype: torch.dtype, block: int = BLOCK) -> Tensor:
    """`end` (1, T) as what the model is given for a mask, (1, 1, 1, T), with the blocks made once for all
    layers."""
    mask = end[:, None, None, :]
    cast(Planned, mask).blocks = plan(end[0], dtype=dtype, block=block)
    return mask


def plan(end: Tensor, *, dtype: torch.dtype, block: int = BLOCK) -> list[Block]:
    """The blocks of a row, from `end` (T,)."""
    index = torch.arange(len(end), device=end.device)
    blocks: list[Block] = []
    for start in range(0, len(end), block):
        stop = min(len(end), start + block)
        keys = (end[:stop] > start).nonzero().flatten()
        queries = index[start:stop, None]
        hidden = (keys[None, :] > queries) | (queries >= end[keys][None, :])
        mask = torch.zeros(hidden.shape, dtype=dtype, device=end.device).masked_fill_(hidden, -torch.inf)
        blocks.append(Block(start, stop, keys, mask))
    return blocks


def tree_attention(
    module: Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: query (1, H, T, D), key and value (1, H', T, D) -> (1, T, H, D).

    Without a plan on the mask it is SDPA, unchanged.
    """
    if not hasattr(attention_mask, "blocks"):
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return plain
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = (heads.repeat_interleave(shared, dim=1) for heads in (key, value))
    parts = [
        scaled_dot_product_attention(
            query[:, :, block.start : block.stop],
            key.index_select(2, block.keys),
            value.index_select(2, block.keys),
            attn_mask=block.mask,
            scale=scaling,
        )
        for block in cast(Planned, attention_mask).blocks
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def install(model: PreTrainedModel) -> None:
    """Let the model, which must use SDPA, attend through `tree_attention`."""
    AttentionInterface.register(TREE_ATTENTION, tree_attention)
    model.set_attn_implementation(TREE_ATTENTION)
