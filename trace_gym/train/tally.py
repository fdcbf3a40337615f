"""What an update reports: sums over its passes, and what it was made from. Leaves out what the loop knows
better (success, cost)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from trace_gym.train.credit import Credit
from trace_gym.train.loss import Diagnostics
from trace_gym.train.pack import MicroBatch, PackStats
from trace_gym.train.row import NO_VERSION
from trace_gym.train.world import World


@dataclass(slots=True)
class Tally:
    """What is summed up over an update from weights of a `version`."""

    version: int
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    loss: float = 0.0
    grad_norm: float = 0.0
    passes: int = 0
    steps: int = 0
    nonfinite: int = 0
    gap: float = 0.0
    gap_max: float = 0.0
    compared: int = 0
    rejected: float = 0.0

    def compare(self, logprobs: Tensor, batch: MicroBatch) -> None:
        """Note how far the sampler's log-probs are from the trainer's, on tokens sampled by the same weights
        as far as one knows."""
        same = (batch.version == self.version) | (batch.version == NO_VERSION)
        if not same.any():
            return
        gap = (logprobs.detach().cpu().double() - batch.behaviour).abs()[same]
        self.gap += float(gap.sum())
        self.gap_max = max(self.gap_max, float(gap.max()))
        self.compared += len(gap)

    def over(self, world: World) -> Tally:
        """The sums of all processes' tallies."""
        if world.size == 1:
            return self
        d = self.diagnostics
        sums = [self.loss, self.gap, self.compared, d.tokens, d.ratio, d.clipped, d.kl]
        loss, gap, compared, tokens, ratio, clipped, kl = world.total(np.array(sums, dtype=np.float64))
        most = world.greatest(d.ratio_max)
        return replace(
            self,
            diagnostics=Diagnostics(int(tokens), float(ratio), most, int(clipped), float(kl)),
            loss=float(loss),
            gap=float(gap),
            gap_max=world.greatest(self.gap_max),
            compared=int(compared),
        )

    def metrics(self) -> dict[str, float]:
        """Means over passes and tokens."""
        return {
            "loss": self.loss / max(1, self.passes),
            "grad_norm": self.grad_norm / max(1, self.passes),
            "optimiser_steps": float(self.steps),
            "nonfinite_steps": float(self.nonfinite),
            "logprob_gap": self.gap / max(1, self.compared),
            "logprob_gap_max": self.gap_max,
            "rejected_share": self.rejected,
            **self.diagnostics.metrics(),
        }


def described(
    credits_: Sequence[Credit], batches: Sequence[MicroBatch], stats: PackStats, *, version: int
) -> dict[str, float]:
    """What an update was made from: the step's own trees, and everything that was computed."""
    entropy = torch.cat([batch.entropy for batch in batches]) if batches else torch.zeros(0)
    versions = torch.cat([batch.version for batch in batches]) if batches else torch.zeros(0)
    known = entropy[~entropy.isnan()]
    dated = versions[versions != NO_VERSION]
    return {
        "trees": float(sum(bool(c.branches) for c in credits_)),
        "contrast_trees": float(sum(c.contrast for c in credits_)),
        "branches": float(sum(len(c.branches) for c in credits_)),
        "micro_batches": float(len(batches)),
        "trained_tokens": float(len(versions)),
        "stale_share": float((versions != version).double().mean()) if len(versions) else 0.0,
        "staleness": float(version - dated.min()) if len(dated) else 0.0,
        "tokens_raw": float(stats.raw),
        "tokens_unique": float(stats.unique),
        "tokens_computed": float(stats.computed),
        **({"entropy": float(known.mean())} if len(known) else {}),
    }
