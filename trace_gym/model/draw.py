"""Drawing one token per row: the distribution after temperature and top-p, and a draw that a seed decides.

Pure. Leaves out penalties and constraints: what is drawn from is what a trainer can compute again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Draws(NamedTuple):
    """`tokens` (B,) int64; `logprobs` (B,) of them and `entropy` (B,) of the distribution, nats, float32."""

    tokens: torch.Tensor
    logprobs: torch.Tensor
    entropy: torch.Tensor


def draw(
    logits: torch.Tensor,
    *,
    uniform: NDArray[np.float64],
    temperature: NDArray[np.float64],
    top_p: NDArray[np.float64],
) -> Draws:
    """Draw by inverting the cumulative distribution, in vocabulary order, at `uniform` (B,) in [0, 1).

    `logits` (B, V) float32 without NaN. Row b's distribution is softmax(logits / temperature), cut to the
    smallest set of most probable tokens that holds `top_p` (Holtzman et al., 2020) and renormalised.
    Temperature 0 puts all probability on the highest logit: log-probability 0, entropy 0.
    """
    greedy = temperature == 0
    if (temperature != 1).any():
        scale = np.where(greedy, 1.0, temperature)
        logits = logits / torch.from_numpy(scale).to(logits)[:, None]
    if (top_p < 1).any():
        logits = _nucleus(logits, torch.from_numpy(top_p).to(logits))
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    cumulative = p.cumsum(-1)
    total = cumulative[:, -1]
    goal = torch.minimum(
        torch.from_numpy(uniform).to(total) * total, total.nextafter(torch.zeros_like(total))
    )
    tokens = torch.searchsorted(cumulative, goal[:, None], right=True)
    entropy = -(p * log_p.clamp(min=torch.finfo(log_p.dtype).min)).sum(-1)
    if greedy.any():
        always = torch.from_numpy(greedy).to(logits.device)
        tokens = torch.where(always[:, None], logits.argmax(-1, keepdim=True), tokens)
        log_p = torch.where(always[:, None], 0.0, log_p)
        entropy = torch.where(always, 0.0, entropy)
    return Draws(tokens[:, 0], log_p.gather(-1, tokens)[:, 0], entropy)


def uniforms(seeds: NDArray[np.uint64], steps: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1) that depend on (seed, step) alone: shapes (B,) and (B,) to (B,).

    SplitMix64 (Steele, Lea and Flood, 2014) as a counter-based generator: the seed is mixed to the start of
    its stream, the step counts along it.
    """
    state = _mixed(seeds) + (steps + np.uint64(1)) * _GOLDEN
    return (_mixed(state) >> np.uint64(12)).astype(np.float64) * 2.0**-52


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser, a bijection of 64-bit numbers."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _nucleus(logits: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """`logits` (B, V) with -inf outside each row's nucleus; rows with `top_p` 1 are left whole."""
    ordered, order = logits.sort(-1, descending=True)
    p = ordered.softmax(-1)
    before = p.cumsum(-1) - p
    outside = (before >= top_p[:, None]) & (top_p[:, None] < 1)
    outside[:, 0] = False
    return logits.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), -torch.inf)
