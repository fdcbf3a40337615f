"""The passes of an update: a forest's shares, the log-probs from before it, and their gradients.

Leaves out the optimiser and everything that outlives an update (`trainer.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trace_gym.train.config import TrainConfig
from trace_gym.train.credit import Credit
from trace_gym.train.logprob import LogprobKernel
from trace_gym.train.movement import PART, Movement, drawn
from trace_gym.train.objective import Objective, Share
from trace_gym.train.pack import Layout, MicroBatch, PackStats, batched, pack, stack
from trace_gym.train.sequence import Sequences
from trace_gym.train.tally import Tally
from trace_gym.train.world import World


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """Runs a model over shares. `reference` computes log-probs under the weights that training began with;
    None: there is no KL term."""

    config: TrainConfig
    kernel: LogprobKernel
    reference: Callable[[MicroBatch], Tensor] | None
    world: World

    @property
    def objective(self) -> Objective:
        """The loss."""
        return Objective(self.config)

    def shares(
        self, credits_: Sequence[Credit], rng: np.random.Generator
    ) -> tuple[list[Share], list[MicroBatch], PackStats]:
        """Trees with contrast dealt into minibatches, of each this process's part; the micro-batches of all
        processes; and their tokens. A divisor is the whole forest's, divided evenly, so that no tree counts
        more for the company it is in."""
        config = self.config
        live = [c for c in credits_ if c.contrast]
        count = min(config.minibatches, len(live))
        if not count:
            return [], [], PackStats()
        layout = Layout(
            token_budget=config.token_budget,
            term_budget=config.term_budget,
            row_tokens=config.token_budget if self.kernel.mask_free else config.row_tokens,
            packed=config.packed,
            depth=self.kernel.window,
            extent=self.kernel.extent,
            keep_weighted=config.kl > 0 or self.objective.whole_branches,
            multiple=128 if self.kernel.model.device.type == "cuda" else 1,
        )
        divisor = config.divisor(credits_) / count
        order = rng.permutation(len(live))
        shares: list[Share] = []
        everything: list[MicroBatch] = []
        total = PackStats()
        for first in range(count):
            dealt = [live[i] for i in order[first::count]]
            packed, stats = pack(dealt, layout)
            sequences = Sequences.of(dealt) if self.objective.whole_branches else None
            shares.append(Share(self.world.deal(packed), divisor, sequences))
            everything += packed
            total += stats
        return shares, everything, total

    def movement(self, credits_: Sequence[Credit], stats: PackStats, *, number: int) -> Movement:
        """What measures how far update `number` moves the policy, begun."""
        config = self.config
        rows = drawn(credits_, stats.computed // PART, np.random.default_rng([config.seed, number, 1]))
        groups = batched(rows, config.token_budget, terms=config.term_budget)
        batches = [stack(group, chains=True) for group in groups]
        made = Movement(self.kernel, self.world.deal(batches) if batches else [], self.world)
        made.begin()
        return made

    @torch.no_grad()
    def prepare(self, shares: Sequence[Share], tally: Tally) -> None:
        """Log-probs needed from before the first step. The first minibatch needs no pass of its own: its old
        log-probs are those of its first training pass."""
        recompute = self.config.old_logprobs == "recompute"
        early = self._wants_old_early
        for index, share in enumerate(shares):
            for batch in share.batches:
                old = None if recompute else batch.behaviour
                if recompute and (index or early):
                    old = self.kernel(batch)
                    tally.compare(old, batch)
                share.old.append(old)
                share.reference.append(self.reference(batch) if self.reference else None)
            tally.rejected += self.objective.reject(share, total=self.world.total) / len(shares)

    @property
    def _wants_old_early(self) -> bool:
        """Must old log-probs be known before the first training pass?"""
        corrected = self.config.corrected
        return corrected is not None and corrected.level == "branch"

    @torch.no_grad()
    def _coefficients(self, share: Share) -> list[MicroBatch]:
        """A share as a loss on branches sees it now; before its first pass every ratio is one."""
        if any(old is None for old in share.old):
            return share.batches
        now = [self.kernel(batch) for batch in share.batches]
        return self.objective.coefficients(share, now, total=self.world.total)

    def gradient(self, share: Share, tally: Tally) -> None:
        """Add a share's gradient to the model's, micro-batch by micro-batch. Sharded gradients are means over
        the processes, hence the factor."""
        objective, early = self.objective, self._wants_old_early
        batches = self._coefficients(share) if self.config.rule.level == "branch" else share.batches
        for index, batch in enumerate(batches):
            logprobs = self.kernel(batch)
            if tally.passes == 0 and not early:
                tally.compare(logprobs, batch)
            old = share.old[index]
            if old is None:
                old = share.old[index] = logprobs.detach()
            loss = objective.loss(
                logprobs, batch, old=old, reference=share.reference[index], divisor=share.divisor
            )
            (loss * self.world.size).backward()  # type: ignore[no-untyped-call]
            tally.loss += float(loss.detach())
            tally.diagnostics += objective.diagnose(logprobs, batch, old=old, unclipped=share.batches[index])
