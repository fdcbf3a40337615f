"""How a policy is trained: every choice of `Trainer`, by name, with its bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from trace_gym.core.errors import unknown
from trace_gym.train.advantage import ADVANTAGES
from trace_gym.train.correction import CORRECTIONS, Correction, correction_named
from trace_gym.train.credit import Credit
from trace_gym.train.loss import LOSSES, Clip, Loss, Surrogate, loss_named
from trace_gym.train.token_weight import TOKEN_WEIGHTS

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "advantage": tuple(ADVANTAGES),
    "token_weight": tuple(TOKEN_WEIGHTS),
    "loss": tuple(LOSSES),
    "correction": ("none", *CORRECTIONS),
    "old_logprobs": ("recompute", "behaviour"),
    "dtype": ("float32", "bfloat16"),
}
_AT_LEAST: Mapping[str, float] = {
    **dict.fromkeys(("epochs", "minibatches", "response_tokens", "token_budget", "row_tokens"), 1),
    **dict.fromkeys(("lr", "weight_decay", "max_grad_norm", "kl", "seed"), 0),
    **dict.fromkeys(("warmup_steps", "decay_steps", "lora_rank", "replay"), 0),
}

RATE_FLOOR = 0.1
"""The part of the learning rate that is left when it has fallen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Choices of the trainer; ValueError or UnknownName at construction for one that cannot be.

    Credit: `advantage`, `token_weight`, `whiten` (None: as the advantage rule has it),
    `balance` (advantages of a tree add up to zero over its tokens), `discount` a turn of rules that credit
    turns one by one (`checks`). Loss: `loss` by name; `clip_low`, `clip_high` replace its own trust region,
    `dual_clip` adds the third bound (cispo and dppo, which bound failures in ways of their own, take none);
    `kl` weighs the divergence from the weights that training began with; `response_tokens` is L_max of losses
    that divide by it. `correction` bounds, by name, what the sampler's own arithmetic can do;
    `correction_low` and `correction_high` replace its bounds. Steps: each forest is passed `epochs` times in
    `minibatches` of whole trees; the rate rises to `lr` over `warmup_steps` optimiser steps, and over the
    next `decay_steps` (0: never) falls along a straight line to a tenth of it. A gradient longer than
    `max_grad_norm` is cut to that length (0: never). `temperature` is the one the policy samples at.

    `old_logprobs`: "recompute" takes the denominators of the ratio from the trainer before its first step, so
    that differences of arithmetic between sampler and trainer cannot pass for a change of policy (it costs
    an extra forward pass for all minibatches but one); "behaviour" takes those the sampler recorded.

    Layout: micro-batches of at most `token_budget` tokens, at most `term_budget` of them trained (None: any
    number); `packed` False computes every branch by itself. Where a model cannot do without masks, rows of
    trees are kept to about `row_tokens`, for there a row costs the square of its length. `dtype` is what is
    computed in; weights are float32 in any case. `lean` computes activations twice to keep few of them in
    memory. With a `lora_rank` only adapters of that rank are trained, their part weighted by `lora_alpha`
    (None: twice the rank) over the rank. With `noise` the spread of the gradient over minibatches is measured
    before the first step, which costs a pass over the forest; it takes at least two `minibatches`.

    `replay`: the trees of so many steps before are trained on again with every forest, with `replay_gains`
    only the turns that are to be made likelier; needs `old_logprobs` "behaviour".
    """

    lr: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-8
    weight_decay: float = 0.0
    warmup_steps: int = 0
    decay_steps: int = 0
    epochs: int = 3
    minibatches: int = 1
    max_grad_norm: float = 1.0
    advantage: str = "drgrpo"
    token_weight: str = "path"
    whiten: bool | None = None
    balance: bool = False
    discount: float = 0.5
    loss: str = "dapo"
    clip_low: float | None = None
    clip_high: float | None = None
    dual_clip: float | None = None
    kl: float = 0.0
    response_tokens: int = 1024
    correction: str = "none"
    correction_low: float | None = None
    correction_high: float | None = None
    temperature: float = 1.0
    old_logprobs: Literal["recompute", "behaviour"] = "recompute"
    packed: bool = True
    token_budget: int = 4096
    term_budget: int | None = None
    row_tokens: int = 512
    dtype: Literal["float32", "bfloat16"] = "float32"
    lean: bool = False
    lora_rank: int = 0
    lora_alpha: float | None = None
    noise: bool = False
    replay: int = 0
    replay_gains: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise unknown(name.replace("_", " "), str(getattr(self, name)), known)
        for name, least in _AT_LEAST.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least:g}, got {getattr(self, name)}")
        if self.lora_alpha is not None and not self.lora_alpha > 0:
            raise ValueError(f"lora_alpha must be positive, got {self.lora_alpha}")
        if self.term_budget is not None and self.term_budget < 1:
            raise ValueError(f"term_budget must be at least 1, got {self.term_budget}")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must lie in [0, 1], got {self.discount}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), got {self.betas}")
        if self.correction != "none" and self.old_logprobs == "behaviour":
            raise ValueError(
                "a correction compares the sampler's log-probs with the trainer's; set old_logprobs to "
                "'recompute'"
            )
        if self.replay and self.old_logprobs != "behaviour":
            raise ValueError(
                "replay trains on trees that older weights sampled, so the ratio must be to those; set "
                "old_logprobs to 'behaviour'"
            )
        if self.noise and self.minibatches < 2:
            raise ValueError("noise is the spread over minibatches; set minibatches to at least 2")
        if self.dual_clip is not None and not self.rule.heeds_dual:
            raise ValueError(f"dual_clip changes nothing about the loss {self.loss!r}; leave it out")
        if self.lora_alpha is not None and not self.lora_rank:
            raise ValueError("lora_alpha weighs adapters; set lora_rank to at least 1, or leave it out")
        if self.correction == "none" and (self.correction_low, self.correction_high) != (None, None):
            raise ValueError(
                "correction_low and correction_high bound a correction; set correction, or leave them out"
            )
        if self.replay_gains and not self.replay:
            raise ValueError("replay_gains is about replayed trees; set replay to at least 1")
        low, high = self.correction_bounds
        if not 0 <= low <= high:
            raise ValueError(f"a correction needs 0 <= low <= high, got {low} and {high}")
        _ = self.clip

    @property
    def clip(self) -> Clip:
        """The trust region in force."""
        own = loss_named(self.loss).clip
        return Clip(
            low=own.low if self.clip_low is None else self.clip_low,
            high=own.high if self.clip_high is None else self.clip_high,
            dual=own.dual if self.dual_clip is None else self.dual_clip,
        )

    @property
    def rule(self) -> Loss:
        """The loss by its name."""
        return loss_named(self.loss)

    @property
    def surrogate(self) -> Surrogate:
        """What the loss maximises per token."""
        return self.rule.surrogate

    @property
    def corrected(self) -> Correction | None:
        """The correction by its name."""
        return correction_named(self.correction)

    @property
    def correction_bounds(self) -> tuple[float, float]:
        """The least and the greatest w of the correction in force."""
        own = self.corrected
        low, high = (own.low, own.high) if own is not None else (0.0, math.inf)
        return (
            low if self.correction_low is None else self.correction_low,
            high if self.correction_high is None else self.correction_high,
        )

    def divisor(self, credits_: Sequence[Credit]) -> float:
        """What the loss over a forest is divided by: original token counts, trees without contrast included;
        tasks, where a branch's tokens share its weight."""
        if self.rule.per == "length":
            return float(sum(bool(c.branches) for c in credits_) * self.response_tokens)
        lengths = [np.array([len(turn.action_ids) for turn in c.tree.turns]) for c in credits_]
        return float(sum((c.weight @ n for c, n in zip(credits_, lengths, strict=True)), 0.0))

    def rate(self, step: int) -> float:
        """The learning rate of optimiser step `step`, counted from 0."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        fallen = min(1.0, (step - self.warmup_steps) / self.decay_steps) if self.decay_steps else 0.0
        return self.lr * (1.0 - (1.0 - RATE_FLOOR) * fallen)

    def json(self) -> dict[str, Any]:
        """All fields by name."""
        return asdict(self)
