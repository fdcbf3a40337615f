"""Corrections for a sampler that is not quite the trainer: factors from w = pi_old / pi_sampler.

Pure and detached. Different arithmetic gives the same weights different probabilities; a correction bounds
what that can do. Leaves out the change of the policy during an update, which is the loss's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

from trace_gym.core.errors import unknown

Factor: TypeAlias = Callable[[Tensor, float, float], Tensor]
"""log w, lowest and highest -> what a token's (or a branch's) terms are multiplied by, of the same shape."""


def truncated(log_w: Tensor, low: float, high: float) -> Tensor:
    """min(w, high), nowhere below low: truncated importance sampling (TIS)."""
    return log_w.exp().clamp(low, high)


def within(log_w: Tensor, low: float, high: float) -> Tensor:
    """w where low <= w <= high, else 0 (IcePop)."""
    w = log_w.exp()
    return w * ((w >= low) & (w <= high))


def accepted(log_w: Tensor, low: float, high: float) -> Tensor:
    """1 where low <= w <= high, else 0. With the mean log w of a branch: geometric rejection."""
    w = log_w.exp()
    return ((w >= low) & (w <= high)).to(w.dtype)


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction by name: its factor, its bounds, and whether it looks at a token's log w or at the mean of
    a branch's."""

    factor: Factor
    low: float
    high: float
    level: Literal["token", "branch"] = "token"


CORRECTIONS: Mapping[str, Correction] = {
    "tis": Correction(truncated, 0.0, 2.0),
    "icepop": Correction(within, 0.5, 5.0),
    "geometric": Correction(accepted, 0.99, 1.01, "branch"),
}


def correction_named(name: str) -> Correction | None:
    """The correction of that name, None for "none"; UnknownName names the nearest."""
    if name == "none":
        return None
    if name not in CORRECTIONS:
        raise unknown("correction", name, ["none", *CORRECTIONS])
    return CORRECTIONS[name]
