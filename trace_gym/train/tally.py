"""What an update reports: sums over its passes, and what it was made from. Leaves out what the loop knows
better (success, cost)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trace_gym.train.advantage import Credit
from trace_gym.train.loss import Diagnostics
from trace_gym.train.pack import MicroBatch, PackStats


@dataclass(slots=True)
class Tally:
    """What is summed up over an update."""

    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    loss: float = 0.0
    grad_norm: float = 0.0
    passes: int = 0
    steps: int = 0
    nonfinite: int = 0
    gap: float = 0.0
    gap_max: float = 0.0
    compared: int = 0

    def compare(self, logprobs: Tensor, batch: MicroBatch) -> None:
        """Note how far the sampler's log-probs are from the trainer's, weights being the same."""
        gap = (logprobs.detach().cpu().double() - batch.behaviour).abs()
        self.gap += float(gap.sum())
        self.gap_max = max(self.gap_max, float(gap.max()))
        self.compared += len(gap)

    def metrics(self) -> dict[str, float]:
        """Means over passes and tokens."""
        return {
            "loss": self.loss / max(1, self.passes),
            "grad_norm": self.grad_norm / max(1, self.passes),
            "optimiser_steps": float(self.steps),
            "nonfinite_steps": float(self.nonfinite),
            "logprob_gap": self.gap / max(1, self.compared),
            "logprob_gap_max": self.gap_max,
            **self.diagnostics.metrics(),
        }


def described(
    credits_: Sequence[Credit], batches: Sequence[MicroBatch], stats: PackStats, *, version: int
) -> dict[str, float]:
    """What an update was made from."""
    entropy = torch.cat([batch.entropy for batch in batches]) if batches else torch.zeros(0)
    versions = torch.cat([batch.version for batch in batches]) if batches else torch.zeros(0)
    known = entropy[~entropy.isnan()]
    return {
        "trees": float(sum(bool(c.branches) for c in credits_)),
        "contrast_trees": float(sum(c.contrast for c in credits_)),
        "branches": float(sum(len(c.branches) for c in credits_)),
        "micro_batches": float(len(batches)),
        "trained_tokens": float(len(versions)),
        "stale_share": float((versions != version).double().mean()) if len(versions) else 0.0,
        "tokens_raw": float(stats.raw),
        "tokens_unique": float(stats.unique),
        "tokens_computed": float(stats.computed),
        **({"entropy": float(known.mean())} if len(known) else {}),
    }
