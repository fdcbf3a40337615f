"""Attention over packed trees on a CPU without masks or copies: by chains, as flash attention computes them.

In a tree's order of packing a node's first child follows it directly, so a tree is a few *chains*, stretches
in which every token follows the one before. A chain attends to itself causally, and to all of what lies above
it, which is one stretch of every chain that it hangs from. Each of these is a plain attention of two
stretches, by operators that torch keeps to itself (whether they are there and do as they did is tried out
before use, `logprob.py`); their parts are joined by their log-sum-exps. Leaves out CUDA (`flex.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

Stretch: TypeAlias = tuple[int, int]
"""Tokens [start, stop) of a row."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The tokens `own`, and the stretches `above` that all of them see."""

    own: Stretch
    above: tuple[Stretch, ...]

    def parts(self) -> Iterator[tuple[slice, bool]]:
        """What its tokens attend to: themselves, causally, then what lies above, in whole."""
        yield slice(*self.own), True
        for stretch in self.above:
            yield slice(*stretch), False


@dataclass(frozen=True, slots=True, eq=False)
class ChainPlan:
    """The chains of one row."""

    chains: tuple[Chain, ...]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """query (1, H, T, D), key and value (1, H', T, D) -> (1, H, T, D). Under autocast in its dtype."""
        if torch.is_autocast_enabled("cpu"):
            narrow = torch.get_autocast_dtype("cpu")
            query, key, value = (states.to(narrow) for states in (query, key, value))
        length, width = query.shape[2:]
        grouped = query.view(key.shape[1], -1, length, width)  # the heads that share a key, side by side
        key, value = (states.transpose(0, 1) for states in (key, value))
        attended: Tensor = _Attention.apply(grouped, key, value, self.chains, scaling)  # type: ignore[no-untyped-call]
        return attended.view(query.shape)


def chains_of(end: Tensor) -> tuple[Chain, ...]:
    """The chains of a row, from `end` (T,): token k is seen by q iff k <= q < end[k]."""
    inner = (end[:-1] <= torch.arange(1, len(end), device=end.device)).nonzero().flatten() + 1
    bounds = [0, *inner.tolist(), len(end)]
    return tuple(
        Chain((start, stop), tuple(_stretches((end[:start] > start).nonzero().flatten())))
        for start, stop in pairwise(bounds)
    )


def _stretches(tokens: Tensor) -> Iterator[Stretch]:
    """Ascending token numbers (N,) as stretches."""
    if not len(tokens):
        return
    gaps = (tokens.diff() > 1).nonzero().flatten() + 1
    for part in torch.tensor_split(tokens, gaps.tolist()):
        yield int(part[0]), int(part[-1]) + 1


class _Attention(Function):
    """Softmax attention of every chain: query (H', G, T, D), key and value (H', 1, T, D). Over a part of the
    keys its gradient needs no more than the log-sum-exp over all of them: gradients by parts add up."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        chains: tuple[Chain, ...],
        scaling: float | None,
    ) -> Tensor:
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        wide = torch.float64 if query.dtype == torch.float64 else torch.float32
        found, mass = torch.empty_like(query), query.new_empty(query.shape[:3], dtype=wide)
        keys, values = key.expand_as(query), value.expand_as(query)
        for chain in chains:
            mine = slice(*chain.own)
            out = total = torch.empty(0)
            for stretch, causal in chain.parts():
                q, k, v = query[:, :, mine], keys[:, :, stretch], values[:, :, stretch]
                part, its = flash(q, k, v, 0.0, causal, scale=scaling)
                out, total = (part, its) if causal else _joined(out, total, part, its)
            found[:, :, mine], mass[:, :, mine] = out, total
        ctx.save_for_backward(query, key, value, found, mass)
        ctx.chains, ctx.scaling = chains, scaling  # type: ignore[attr-defined]
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        query, key, value, found, mass = ctx.saved_tensors
        by_query, by_key, by_value = (torch.zeros_like(x) for x in (query, key, value))
        keys, values = key.expand_as(query), value.expand_as(query)
        for chain in ctx.chains:
            mine = slice(*chain.own)
            up, q, out, total = (x[:, :, mine] for x in (gradient, query, found, mass))
            for stretch, causal in chain.parts():
                k, v = keys[:, :, stretch], values[:, :, stretch]
                to_q, to_k, to_v = flash(up, q, k, v, out, total, 0.0, causal, scale=ctx.scaling)
                by_query[:, :, mine] += to_q
                by_key[:, :, stretch] += to_k.sum(1, keepdim=True)
                by_value[:, :, stretch] += to_v.sum(1, keepdim=True)
        return by_query, by_key, by_value, None, None


def _joined(out: Tensor, total: Tensor, part: Tensor, its: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over two sets of keys from that over each, (..., D), and their log-sum-exps (...)."""
    both = torch.logaddexp(total, its)
    share = (its - both).exp_().unsqueeze(-1)
    return torch.lerp(out.to(share.dtype), part.to(share.dtype), share), both
