"""How much of a gradient is noise: the spread of the gradients of a batch's parts, all at the same weights.

With independent parts of equal size, `noise` estimates the trace of the covariance of their mean, and
`square - noise` the squared length of the true gradient, both without bias. The second over the first grows
with the batch, so over what the batch cost it compares methods (arXiv 1812.06162). A biased gradient is not
found out. Leaves out where gradients come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter


def flat(parameters: Iterable[Parameter]) -> Tensor:
    """The gradients there are, as one vector."""
    return torch.cat([p.grad.detach().double().reshape(-1) for p in parameters if p.grad is not None])


def noise(parts: Sequence[Tensor]) -> dict[str, float]:
    """`gradient_noise` and `gradient_square` of at least two gradients; of fewer nothing is known."""
    if len(parts) < 2:
        return {}
    stacked = torch.stack(list(parts))
    mean = stacked.mean(dim=0)
    spread = (stacked - mean).square().sum() / (len(parts) - 1)
    return {"gradient_noise": float(spread / len(parts)), "gradient_square": float(mean.square().sum())}
