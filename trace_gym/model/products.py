"""Matrix products in float32 on processors that torch's default library serves badly.

On AMD's processors that library leaves AVX-512 unused; oneDNN, which torch brings along, does not, and is
more than twice as fast where there is enough to multiply. Its operator is one that torch keeps to itself, so
whether it is there and computes the same is tried out before use. Leaves out narrower types, which go through
oneDNN anyway, and everything that is not a linear layer.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.functional import linear

WORK = 1 << 20
"""Smaller products, in multiplications, are as fast by the default library."""


def quicken(model: nn.Module, *, wanted: bool | None = None) -> None:
    """Have the linear layers of a model in float32 on a CPU multiply through oneDNN, if `wanted`: by default
    where it `pays`. Weights, names and results, up to rounding, stay what they are."""
    if not (pays() if wanted is None else wanted):
        return
    for module in model.modules():
        if type(module) is nn.Linear and module.weight.dtype == torch.float32 and module.weight.is_cpu:
            module.__class__ = QuickLinear


class QuickLinear(nn.Linear):
    """A linear layer; large products in float32 go through oneDNN, forwards and backwards."""

    def forward(self, input: Tensor) -> Tensor:
        """input (..., K) -> (..., N)."""
        if input.numel() * self.out_features < WORK or not _in_full(input, self.weight):
            return linear(input, self.weight, self.bias)
        if torch.is_grad_enabled():
            product: Tensor = _Product.apply(input, self.weight)  # type: ignore[no-untyped-call]
        else:
            product = _times(input, self.weight)
        return product if self.bias is None else product + self.bias


class _Product(Function):
    """x (..., K) and w (N, K) -> x @ w.T (..., N)."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return _times(x, w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, w = ctx.saved_tensors
        by_x, by_w = ctx.needs_input_grad
        to_x = _times(gradient, w.t()) if by_x else None
        to_w = _times(gradient.flatten(0, -2).t(), x.flatten(0, -2).t()) if by_w else None
        return to_x, to_w


def _in_full(x: Tensor, w: Tensor) -> bool:
    """Are these float32 on a CPU, and multiplied as such?"""
    full = x.dtype == w.dtype == torch.float32 and x.is_cpu and w.is_cpu
    return full and not torch.is_autocast_enabled("cpu")


def _times(x: Tensor, w: Tensor) -> Tensor:
    """x (..., K) and w (N, K) -> x @ w.T (..., N)."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], "")
    return product


@lru_cache(maxsize=1)
def pays() -> bool:
    """Is this one of those processors, and does oneDNN compute what torch does?"""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512") and _is_amd() and _agrees()


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def _agrees() -> bool:
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(size, 64, generator=generator) for size in (48, 32))
    try:
        return torch.allclose(_times(x, w), x @ w.t(), rtol=1e-4, atol=1e-4)
    except (AttributeError, RuntimeError, TypeError):
        return False
