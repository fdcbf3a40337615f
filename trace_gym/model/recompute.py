"""Sampling from architectures whose memory `slots.py` cannot hold: every token computes its whole context.

Slow and exact for any causal model, row by row and so without padding or masks. Keeps nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from trace_gym.core.tokens import IntArray
from trace_gym.model.outlook import Outlook, last_outlook


class Recompute:
    """Stands where Slots stands, and remembers nothing: no bytes, no blocks."""

    token_bytes = 0
    block_count = 0

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def reserve(self, slots: int, places: int) -> None:
        """Nothing is kept, so nothing is reserved."""

    def forward(self, sequences: Sequence[IntArray], *, starts: Sequence[int], first: int) -> Outlook:
        """The outlook at the end of every whole sequence, whatever was computed before."""
        rows = [self._row(ids) for ids in sequences]
        hidden = [row.hidden for row in rows if row.hidden is not None]
        return Outlook(torch.cat([row.logits for row in rows]), torch.cat(hidden) if hidden else None)

    def read(self, prompts: Sequence[IntArray], *, threads: int | None) -> torch.Tensor | None:
        """The last hidden states (R, D) at the ends of `prompts`, by one thread."""
        return self.forward(prompts, starts=[0] * len(prompts), first=0).hidden

    def copy_rows(self, sources: Sequence[int], targets: Sequence[int], *, places: int) -> None:
        """Slots are empty."""

    def store(self, slots: Sequence[int], places: Sequence[int], numbers: Sequence[int]) -> None:
        """Without blocks there is never anything to store."""

    def restore(self, slots: Sequence[int], places: Sequence[int], numbers: Sequence[int]) -> None:
        """Without blocks there is never anything to restore."""

    def _row(self, token_ids: IntArray) -> Outlook:
        given = torch.tensor(token_ids, dtype=torch.long, device=self._model.device)[None]
        return last_outlook(self._model, input_ids=given, use_cache=False)
