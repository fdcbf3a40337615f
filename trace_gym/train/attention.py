"""Attention over packed trees, for unmodified Hugging Face models.

Three ways to the same numbers. *Dense*: any model, a (T, T) mask. *Blocks*: queries in blocks of consecutive
tokens, each against only those keys that some query of the block may see: its own branch, gathered. The cost
is that of the tree instead of T squared, and no (T, T) mask exists. *Flex*, on CUDA: the same of tiles, in
one kernel (`flex.py`).
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

from trace_gym.train.flex import FlexPlan

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


class Plan(Protocol):
    """How rows attend, worked out once for all layers."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """query (B, H, T, D), key and value (B, H', T, D) -> (B, H, T, D)."""
        ...


class Planned(Protocol):
    """A tensor that carries its plan through the model."""

    plan: Plan


@dataclass(frozen=True, slots=True, eq=False)
class BlockPlan:
    """The blocks of one row."""

    blocks: list[Block]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """One SDPA a block, each over the keys it sees. Keys are gathered for all blocks at once, and so are
        their gradients: a gather for each block would fill and add the whole row as often."""
        shared = query.shape[1] // key.shape[1]
        if shared > 1:
            key, value = (heads.repeat_interleave(shared, dim=1) for heads in (key, value))
        seen = torch.cat([block.keys for block in self.blocks])
        counts = [len(block.keys) for block in self.blocks]
        keys, values = (torch.split(s.index_select(2, seen), counts, dim=2) for s in (key, value))
        queries = torch.split(query, [block.stop - block.start for block in self.blocks], dim=2)
        parts = [
            scaled_dot_product_attention(q, k, v, attn_mask=block.mask, scale=scaling)
            for q, k, v, block in zip(queries, keys, values, self.blocks, strict=True)
        ]
        return torch.cat(parts, dim=2)


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
    """`end` (B, T) as what the model is given for a mask, (B, 1, 1, T), with its plan: on CUDA for any number
    of rows, elsewhere for one."""
    mask = end[:, None, None, :]
    flex = end.device.type == "cuda"
    made = FlexPlan.of(end) if flex else BlockPlan(plan(end[0], dtype=dtype, block=block))
    cast(Planned, mask).plan = made
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
    """Attention as transformers calls it: query (B, H, T, D), key and value (B, H', T, D) -> (B, T, H, D).

    Without a plan on the mask it is SDPA, unchanged.
    """
    if not hasattr(attention_mask, "plan"):
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return plain
    found = cast(Planned, attention_mask).plan.attend(query, key, value, scaling)
    return found.transpose(1, 2).contiguous(), None


def install(model: PreTrainedModel) -> None:
    """Let the model, which must use SDPA, attend through `tree_attention`."""
    AttentionInterface.register(TREE_ATTENTION, tree_attention)
    model.set_attn_implementation(TREE_ATTENTION)
