"""What an engine computes with, and the choice for a given model: slots wherever they are right.

Leaves out the two ways themselves (`slots.py`, `recompute.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from logging import getLogger
from typing import Protocol

import numpy as np
import torch
from transformers import PreTrainedModel

from trace_gym.core.errors import ModelFailed, boundary
from trace_gym.core.tokens import IntArray
from trace_gym.model.outlook import Outlook
from trace_gym.model.recompute import Recompute
from trace_gym.model.replay import Recorder
from trace_gym.model.slots import Slots


class Memory(Protocol):
    """What an engine computes with: `Slots`, or `Recompute` where that is impossible."""

    @property
    def token_bytes(self) -> int: ...
    @property
    def block_count(self) -> int: ...
    def reserve(self, slots: int, places: int) -> None: ...
    def forward(self, sequences: Sequence[IntArray], *, starts: Sequence[int], first: int) -> Outlook: ...
    def read(self, prompts: Sequence[IntArray], *, threads: int | None) -> torch.Tensor | None: ...
    def copy_rows(self, sources: Sequence[int], targets: Sequence[int], *, places: int) -> None: ...
    def store(self, slots: Sequence[int], places: Sequence[int], numbers: Sequence[int]) -> None: ...
    def restore(self, slots: Sequence[int], places: Sequence[int], numbers: Sequence[int]) -> None: ...


@torch.inference_mode()
def memory_for(
    model: PreTrainedModel,
    *,
    slot_bytes: int,
    block_bytes: int,
    recorder: Callable[[], Recorder] | None = None,
) -> Memory:
    """Slots if with them the model computes what it computes by itself, else Recompute, with a warning. Slots
    read short prompts together only where that, too, gives what the model computes by itself."""
    slots = Slots(model, slot_bytes=slot_bytes, block_bytes=block_bytes, recorder=recorder)
    try:
        with boundary(ModelFailed, Exception, what="its memory is of another kind"):
            error, astray = _error(slots, model), _astray(slots, model)
        if error <= (1e-3 if model.dtype.itemsize >= 4 else 0.1):
            slots.together = astray <= (1e-3 if model.dtype.itemsize >= 4 else 0.03)
            if not slots.together:
                told = "%s reads prompts one by one: together its hidden states are off by %.2g"
                getLogger(__name__).warning(told, type(model).__name__, astray)
            return slots
        reason = f"with shared keys and values its logits are off by {error:.2g}"
    except ModelFailed as failure:
        reason = str(failure)
    getLogger(__name__).warning(
        "%s is sampled slowly, without shared keys and values: %s", type(model).__name__, reason
    )
    return Recompute(model)


def _error(slots: Slots, model: PreTrainedModel) -> float:
    """How far the logits of two rows of unequal length, computed in pieces in `slots`, are from those of the
    bare model: the norm of the difference over the norm."""
    long, short = (((7919 * np.arange(1, n + 1)) % vocabulary(model)).astype(np.int32) for n in (24, 9))
    bare = Recompute(model).forward([long, short], starts=[0, 0], first=0).logits
    slots.reserve(3, len(long))
    slots.forward([long[:20], short[:3]], starts=[0, 0], first=1)
    slots.forward([long[:22], short[:8]], starts=[20, 3], first=1)
    slots.forward([long[:23], short[:8]], starts=[22, 7], first=1)
    pieced = slots.forward([long, short], starts=[23, 8], first=1).logits
    return float((pieced - bare).norm() / bare.norm())


def _astray(slots: Slots, model: PreTrainedModel) -> float:
    """How far hidden states of prompts that are read together are from those of each by itself, likewise. The
    end of the second is far from its beginning in the row: models that count places there are found out."""
    tokens = ((7919 * np.arange(1, 41)) % vocabulary(model)).astype(np.int32)
    asked = [tokens[:28], np.concatenate([tokens[:4], tokens[28:]])]
    found, alone = slots.read(asked, threads=None), Recompute(model).read(asked, threads=None)
    return 0.0 if found is None or alone is None else float((found - alone).norm() / alone.norm())


def vocabulary(model: PreTrainedModel) -> int:
    """How many token ids the model takes."""
    return len(model.get_input_embeddings().state_dict()["weight"])
