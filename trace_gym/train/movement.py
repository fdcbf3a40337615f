"""How far an update moves the policy: KL(before || after), in nats per token, on a sample of what it trains.

Branches are drawn and their log-probs taken before the first step and after the last: two forward passes
over about a twentieth of the tokens, some 3 % of an update that passes its forest once, and more only where
it is so small that the beginning of one branch is more. Leaves out what the passes see of it (`loss.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from trace_gym.train.credit import Credit
from trace_gym.train.pack import MicroBatch
from trace_gym.train.row import Row, chain, live
from trace_gym.train.world import World

PART = 20
"""One in so many of the tokens that an update computes is computed for this as well."""
LEAST = 16
"""Where one branch is longer than that, it is cut, but not before so many tokens from the first trained one
on."""


def drawn(credits_: Sequence[Credit], tokens: int, rng: np.random.Generator) -> list[Row]:
    """Trained branches drawn by `rng`, of about so many `tokens` together, at least one; the first is cut if
    it is longer."""
    trained = [(c, branch) for c in credits_ for branch in c.branches if live(c, branch).any()]
    rows: list[Row] = []
    for place in rng.permutation(len(trained)):
        made = chain(*trained[place], number=0)
        if rows and sum(len(row) for row in rows) + len(made) > tokens:
            break
        rows.append(made if rows else made.cut(max(tokens, int(made.trained[0]) + LEAST)))
    return rows


@dataclass(slots=True, eq=False)
class Movement:
    """Lifecycle: `begin` before the first step, `nats` after the last. Changes nothing that is learnt, and
    draws from no generator but its own."""

    kernel: Callable[[MicroBatch], Tensor]
    batches: Sequence[MicroBatch]
    world: World
    before: list[Tensor] = field(default_factory=list)

    @torch.no_grad()
    def begin(self) -> None:
        """Take the log-probs of the policy that is there."""
        self.before = [self.kernel(batch) for batch in self.batches]

    @torch.no_grad()
    def nats(self) -> float:
        """The k3 estimate r - 1 - log r of KL(before || now), the mean per token; 0 without any."""
        sums = np.zeros(2)
        for batch, before in zip(self.batches, self.before, strict=True):
            log_ratio = (self.kernel(batch) - before).double()
            sums += float((log_ratio.exp() - 1.0 - log_ratio).sum()), len(log_ratio)
        total, count = self.world.total(sums)
        return float(total / max(1.0, count))
