"""What one optimiser step minimises: the loss of a share of a forest, micro-batch by micro-batch.

Joins credit that `pack.py` has laid out, log-probs of three policies (trained, before the update, sampler)
and, with KL, of a reference. Leaves out models, optimisers and the order of steps (`trainer.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from trace_gym.train.config import TrainConfig
from trace_gym.train.loss import Diagnostics, Tokens, diagnose, kl_penalty
from trace_gym.train.pack import MicroBatch
from trace_gym.train.sequence import Sequences, Total, gspo


@dataclass(slots=True, eq=False)
class Share:
    """The part of a forest that makes one optimiser step: micro-batches, what their sums are divided by, and
    per micro-batch the log-probs before the update and those of the reference, once known. `sequences`:
    the branches, where the objective looks at whole ones."""

    batches: list[MicroBatch]
    divisor: float
    sequences: Sequences | None = None
    old: list[Tensor | None] = field(default_factory=list)
    reference: list[Tensor | None] = field(default_factory=list)

    @property
    def contrast(self) -> bool:
        """Is there an advantage left in it?"""
        return any(bool((batch.plus > 0).any() or (batch.minus < 0).any()) for batch in self.batches)


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss that a configuration asks for."""

    config: TrainConfig

    @property
    def whole_branches(self) -> bool:
        """Does anything look at a branch as a whole, and so at all of its tokens?"""
        correction = self.config.corrected
        return self.config.rule.level == "branch" or (correction is not None and correction.level == "branch")

    def reject(self, share: Share, *, total: Total) -> float:
        """Drop the branches that the correction does not accept, given the old log-probs of all of a share.
        Returns the part of the branches that was dropped."""
        correction, sequences = self.config.corrected, share.sequences
        if correction is None or correction.level != "branch" or sequences is None:
            return 0.0
        known = [(batch, old) for batch, old in zip(share.batches, share.old, strict=True) if old is not None]
        log_w = [old.double().cpu() - batch.behaviour for batch, old in known]
        means = torch.from_numpy(sequences.means([batch for batch, _ in known], log_w, total=total))
        factor = correction.factor(means, *self.config.correction_bounds).numpy()
        share.sequences = sequences.kept(factor)
        one = np.ones(len(sequences))
        share.batches = [share.sequences.collapsed(b, plus=one, minus=one) for b in share.batches]
        return float(np.mean(factor == 0.0)) if len(factor) else 0.0

    def coefficients(self, share: Share, logprobs: Sequence[Tensor], *, total: Total) -> list[MicroBatch]:
        """The share's micro-batches with the coefficients of a loss on branches, from the log-probs now."""
        if share.sequences is None:
            return share.batches
        ratios = [new - old for new, old in zip(logprobs, share.old, strict=True) if old is not None]
        plus, minus = gspo(share.sequences.means(share.batches, ratios, total=total), self.config.clip)
        return [share.sequences.collapsed(batch, plus=plus, minus=minus) for batch in share.batches]

    def loss(
        self, logprobs: Tensor, batch: MicroBatch, *, old: Tensor, reference: Tensor | None, divisor: float
    ) -> Tensor:
        """The micro-batch's part of the loss, a scalar."""
        tokens = _tokens(logprobs, batch, old)
        terms = self.config.surrogate(tokens, self.config.clip)
        correction = self.config.corrected
        if correction is not None and correction.level == "token":
            log_w = tokens.old.double() - batch.behaviour.to(logprobs.device)
            terms = terms * correction.factor(log_w, *self.config.correction_bounds).to(terms)
        loss = -terms.sum() / divisor
        if reference is not None:
            penalty = kl_penalty(logprobs, reference.to(logprobs)) * batch.weight.to(logprobs)
            loss = loss + self.config.kl * penalty.sum() / divisor
        return loss

    def diagnose(
        self, logprobs: Tensor, batch: MicroBatch, *, old: Tensor, unclipped: MicroBatch
    ) -> Diagnostics:
        """What the loss does to the micro-batch's tokens; `unclipped` is the micro-batch before any ratio of
        branches was counted in."""
        found = diagnose(_tokens(logprobs.detach(), batch, old), self.config.clip, self.config.surrogate)
        if self.config.rule.level == "token":
            return found
        live = (unclipped.plus > 0) | (unclipped.minus < 0)
        return replace(found, clipped=int((live & (batch.plus == 0) & (batch.minus == 0)).sum()))


def _tokens(logprobs: Tensor, batch: MicroBatch, old: Tensor) -> Tokens:
    plus, minus, behaviour = (s.to(logprobs) for s in (batch.plus, batch.minus, batch.behaviour))
    return Tokens(logprobs, old.to(logprobs), plus, minus, behaviour)
