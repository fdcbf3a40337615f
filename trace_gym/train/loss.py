"""Policy-gradient losses on unique tokens.

Pure. With r = pi / pi_old, a token that several branches share enters with A+ and A- only (see
`advantage.collapse`): sum_b PPO_b = A+ min(r, 1+eh) + A- max(r, 1-el), with the dual clip
A- min(max(r, 1-el), c). What looks at whole branches (GSPO's ratio, geometric rejection) enters as factors of
branches: `sequence.py` collapses those. Leaves out the mismatch of sampler and trainer (`correction.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from trace_gym.core.errors import unknown


@dataclass(frozen=True, slots=True)
class Clip:
    """Trust region of the ratio: [1 - low, 1 + high]; `dual` c > 1 also bounds what a negative advantage can
    pull (dual-clip PPO, arXiv 1912.09729), None leaves it unbounded."""

    low: float = 0.2
    high: float = 0.2
    dual: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= 1.0 or self.high < 0.0:
            raise ValueError(f"clip needs 0 <= low <= 1 and high >= 0, got low={self.low}, high={self.high}")
        if self.dual is not None and self.dual <= 1.0:
            raise ValueError(f"the dual clip must exceed 1, got {self.dual}")


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Trained tokens, each (K,): log-probs under the policy being trained and, detached, under the one before
    the update; `plus` = A+ >= 0, `minus` = A- <= 0; `behaviour`, detached, under the sampler (None: as
    `old`)."""

    logprobs: Tensor
    old: Tensor
    plus: Tensor
    minus: Tensor
    behaviour: Tensor | None = None

    @property
    def log_ratio(self) -> Tensor:
        """log r, (K,)."""
        return self.logprobs - self.old


Surrogate: TypeAlias = Callable[[Tokens, Clip], Tensor]
"""What is maximised, per token (K,)."""


def clipped(tokens: Tokens, clip: Clip) -> Tensor:
    """A+ min(r, 1+eh) + A- max(r, 1-el): PPO (arXiv 1707.06347) summed over the branches of each token."""
    ratio = tokens.log_ratio.exp()
    held = ratio.clamp(min=1.0 - clip.low)
    if clip.dual is not None:
        held = held.clamp(max=clip.dual)
    return tokens.plus * ratio.clamp(max=1.0 + clip.high) + tokens.minus * held


def cispo(tokens: Tokens, clip: Clip) -> Tensor:
    """sg[clip(r)] (A+ + A-) log pi: the ratio is bounded, no token loses its gradient (CISPO, arXiv
    2506.13585)."""
    ratio = tokens.log_ratio.exp().clamp(1.0 - clip.low, 1.0 + clip.high).detach()
    return ratio * (tokens.plus + tokens.minus) * tokens.logprobs


def dppo(tokens: Tokens, clip: Clip) -> Tensor:
    """r A where the sampler's and the policy's probabilities differ by no more than the bounds on the side
    that A drives them to: a success is left alone once pi - mu > high, a failure once mu - pi > low
    (divergence PPO with total variation). A ratio says little of rare tokens; a difference does."""
    mu = tokens.old if tokens.behaviour is None else tokens.behaviour
    gain = tokens.logprobs.detach().exp() - mu.exp()
    return tokens.log_ratio.exp() * (tokens.plus * (gain <= clip.high) + tokens.minus * (gain >= -clip.low))


def replayed(tokens: Tokens, clip: Clip) -> Tensor:
    """The value A+ + A- with the gradient of (A+ + A-) log pi: for coefficients in which ratio and clip are
    counted already, as those of sequence-level losses are."""
    return (tokens.plus + tokens.minus) * (tokens.logprobs - tokens.logprobs.detach()).exp()


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss by name. `per`: the sum over tokens is divided by their total weight ("token"), by tasks times
    the longest response there can be ("length", free of length bias), or each branch is averaged over its own
    tokens first and the sum divided by tasks ("branch"). `level`: whose ratio is clipped, the token's or the
    branch's. `heeds_dual`: does the third bound of a clip change anything?"""

    surrogate: Surrogate
    clip: Clip
    per: Literal["token", "length", "branch"]
    level: Literal["token", "branch"] = "token"
    heeds_dual: bool = True


LOSSES: Mapping[str, Loss] = {
    "ppo": Loss(clipped, Clip(0.2, 0.2), "token"),
    "grpo": Loss(clipped, Clip(0.2, 0.2), "branch"),
    "dapo": Loss(clipped, Clip(0.2, 0.28), "token"),
    "drgrpo": Loss(clipped, Clip(0.2, 0.2), "length"),
    "gspo": Loss(replayed, Clip(3e-4, 4e-4), "branch", "branch"),
    "cispo": Loss(cispo, Clip(1.0, 4.0), "token", heeds_dual=False),
    "dppo": Loss(dppo, Clip(0.2, 0.2), "token", heeds_dual=False),
}
"""PPO; GRPO (arXiv 2402.03300): the mean over each branch's tokens; DAPO (arXiv 2503.14476): asymmetric clip,
mean over tokens; Dr.GRPO (arXiv 2503.20783): sum over tokens divided by B * L_max; GSPO (arXiv 2507.18071):
the clipped ratio is the geometric mean of a branch's; CISPO: ratios up to 5; DPPO: masks on differences of
probability. Weights add up to one a task, so B counts tasks."""


def loss_named(name: str) -> Loss:
    """The loss of that name; UnknownName names the nearest."""
    if name not in LOSSES:
        raise unknown("loss", name, list(LOSSES))
    return LOSSES[name]


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Sums over trained tokens; `+` adds micro-batches. `clipped`: tokens whose gradient the clip stopped;
    `kl`: the k3 estimate r - 1 - log r of KL(old || new), as the passes find it. So the first pass of a
    minibatch, in which r is often 1, counts with the later ones, and what the last step does is not in it;
    `movement.py` says how far a whole update goes."""

    tokens: int = 0
    ratio: float = 0.0
    ratio_max: float = 0.0
    clipped: int = 0
    kl: float = 0.0

    def __add__(self, other: Diagnostics) -> Diagnostics:
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Diagnostics(**{**sums, "ratio_max": max(self.ratio_max, other.ratio_max)})

    def metrics(self) -> dict[str, float]:
        """Means per trained token."""
        count = max(1, self.tokens)
        return {
            "ratio_mean": self.ratio / count,
            "ratio_max": self.ratio_max,
            "clip_share": self.clipped / count,
            "approx_kl": self.kl / count,
        }


def diagnose(tokens: Tokens, clip: Clip, surrogate: Surrogate = clipped) -> Diagnostics:
    """What a loss does to these tokens. Each gradient is taken with A+ and A- apart, lest a sum that happens
    to be zero pass for clipping."""
    log_ratio = tokens.log_ratio.detach()
    ratio = log_ratio.exp()
    nothing = torch.zeros_like(tokens.plus)
    moved = torch.zeros_like(tokens.plus, dtype=torch.bool)
    for plus, minus in ((tokens.plus, nothing), (nothing, tokens.minus)):
        free = tokens.logprobs.detach().requires_grad_()
        value = surrogate(replace(tokens, logprobs=free, plus=plus, minus=minus), clip)
        (slope,) = torch.autograd.grad(value.sum(), free)
        moved |= slope != 0
    active = (tokens.plus > 0) | (tokens.minus < 0)
    return Diagnostics(
        tokens=len(ratio),
        ratio=float(ratio.sum()),
        ratio_max=float(ratio.max()) if len(ratio) else 0.0,
        clipped=int((~moved & active).sum()),
        kl=float((ratio - 1.0 - log_ratio).sum()),
    )


def kl_penalty(logprobs: Tensor, reference: Tensor) -> Tensor:
    """KL(pi || reference) per token (K,): the value of k3 with the gradient of k2, which is that of the
    KL."""
    difference = logprobs - reference
    k2 = 0.5 * difference.square()
    k3 = (-difference).exp() - 1.0 + difference
    return k2 + (k3 - k2).detach()
