"""Attention over packed trees, for unmodified Hugging Face models.

Two ways to the same numbers. *Dense*: any model, a (T, T) mask. *Planned*: no such mask exists, and the cost
is that of the tree instead of T squared: by chains on a CPU (`chains.py`), by tiles on CUDA (`flex.py`).
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.nn import Module
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from trace_gym.train.chains import ChainPlan, chains_of
from trace_gym.train.flex import FlexPlan

TREE_ATTENTION = "trace_gym_tree"
"""The name under which `install` makes this attention known to transformers."""


class Plan(Protocol):
    """How rows attend, worked out once for all layers."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """query (B, H, T, D), key and value (B, H', T, D) -> (B, H, T, D)."""
        ...


class Planned(Protocol):
    """A tensor that carries its plan through the model."""

    plan: Plan


def tree_mask(end: Tensor) -> Tensor:
    """Who sees whom: `end` (B, T) -> bool (B, 1, T, T), [b, 0, q, k] true iff k <= q < end[b, k]."""
    index = torch.arange(end.shape[1], device=end.device)
    return ((index[None, :] <= index[:, None]) & (index[:, None] < end[:, None, :])).unsqueeze(1)


def dense(end: Tensor, *, dtype: torch.dtype) -> Tensor:
    """The mask (B, 1, T, T) in the form that is added to scores: every attention takes it, and one copy
    serves all layers, where SDPA would turn a boolean one into a copy for each."""
    seen = tree_mask(end)
    return torch.zeros(seen.shape, dtype=dtype, device=end.device).masked_fill_(~seen, -torch.inf)


def planned(end: Tensor) -> Tensor:
    """`end` (B, T) as what the model is given for a mask, (B, 1, 1, T), with its plan: on CUDA for any number
    of rows, elsewhere for one."""
    mask = end[:, None, None, :]
    flex = end.device.type == "cuda"
    cast(Planned, mask).plan = FlexPlan.of(end) if flex else ChainPlan(chains_of(end[0]))
    return mask


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
