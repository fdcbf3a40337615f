"""Keys and values of running sequences, one slot each, and of remembered prefixes, in blocks.

A slot's place t holds position t of its sequence, so rows of any lengths are computed together without
moving anything; masks say what each token sees. Leaves out which sequences run (`engine.py`) and which
prefixes are remembered (`prefix.py`). Shapes: S slots, H heads, T places, D features per head, R rows,
W new tokens per row (right-aligned), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from logging import getLogger
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import Cache, PreTrainedModel

from trace_gym.core.errors import ModelFailed, boundary
from trace_gym.core.tokens import IntArray
from trace_gym.model.outlook import Outlook, last_outlook, masks
from trace_gym.model.recompute import Recompute
from trace_gym.model.replay import Recorder, Replay, cuda_recorder
from trace_gym.model.together import laid_out, read_together

BLOCK = 16
"""Tokens per block of a remembered prefix."""
_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""All but cuDNN's attention, which plans anew for every shape: every prefill has another."""


class _Step(NamedTuple):
    """Where the new tokens of one forward pass go: slots `first` to `last`, places below `span`; `slot` (N,)
    and `place` (N,) of every new token; `real` (R, W), None if no row is padded."""

    first: int
    last: int
    span: int
    slot: torch.Tensor
    place: torch.Tensor
    real: torch.Tensor | None


class Slots(Cache):
    """A cache for models whose only memory is attention keys and values (full or sliding window).

    Invariant: memory is allocated for `reserve`d slots and places only, and never holds NaN. Other
    architectures raise or compute nonsense here: `memory.py` finds out before it relies on it. Decoding steps
    are recorded and replayed if there is a `recorder`, by default on CUDA.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        slot_bytes: int,
        block_bytes: int,
        recorder: Callable[[], Recorder] | None = None,
    ) -> None:
        super().__init__(layers=[])
        self._model = model
        self._slot_bytes = slot_bytes
        self._block_bytes = block_bytes
        self._size = (0, 0)
        self._memory: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._blocks: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._step: _Step | None = None
        self.together = True
        """Are short prompts read as tries? Else one by one."""
        if recorder is None and model.device.type == "cuda":
            recorder = partial(cuda_recorder, model.device)
        self._replay = Replay(self._decode, recorder) if recorder is not None else None

    @property
    def token_bytes(self) -> int:
        """Bytes of keys and values per token; 0 before the first forward pass."""
        pairs = [tensor for pair in self._memory.values() for tensor in pair]
        return sum(t.shape[1] * t.shape[3] * t.element_size() for t in pairs)

    @property
    def block_count(self) -> int:
        """How many blocks of prefixes fit into the bytes set aside for them."""
        return self._block_bytes // (BLOCK * self.token_bytes) if self.token_bytes else 0

    def reserve(self, slots: int, places: int) -> None:
        """Make room for `slots` sequences of `places` tokens; what those slots hold of them is kept.

        Memory at least doubles where it grows, for every growth moves all of it, and does not shrink, unless
        it would exceed the bytes set aside for slots: then it is made to measure.
        """
        wanted = (slots, places)
        if all(new <= old for new, old in zip(wanted, self._size, strict=True)):
            return
        ample = (_grown(slots, self._size[0]), _grown(places, self._size[1]))
        close = (max(_rounded(slots), self._size[0]), max(_rounded(places), self._size[1]))
        fitting = [s for s in (ample, close) if s[0] * s[1] * self.token_bytes <= self._slot_bytes]
        self._size = fitting[0] if fitting else (slots, _rounded(places))
        if self._replay is not None:
            self._replay.forget()
        for layer, pair in self._memory.items():
            self._memory[layer] = (self._resized(pair[0]), self._resized(pair[1]))

    def forward(self, sequences: Sequence[IntArray], *, starts: Sequence[int], first: int) -> Outlook:
        """Compute `sequences[r][starts[r]:]` for the rows in slots `first` and on; at least one token each.

        What comes before `starts[r]` must be in the slot already.
        """
        widths = [len(ids) - start for ids, start in zip(sequences, starts, strict=True)]
        width = max(widths)
        token_ids = np.zeros((len(sequences), width), dtype=np.int64)
        positions = np.zeros_like(token_ids)
        real = np.zeros(token_ids.shape, dtype=bool)
        for row, (ids, start, new) in enumerate(zip(sequences, starts, widths, strict=True)):
            token_ids[row, width - new :] = ids[start:]
            positions[row, width - new :] = np.arange(start, len(ids))
            real[row, width - new :] = True
        return self._compute(token_ids, positions, real, first)

    def copy_rows(self, sources: Sequence[int], targets: Sequence[int], *, places: int) -> None:
        """Copy the first `places` places of some slots to others."""
        to, of = (torch.tensor(slots, device=self._model.device) for slots in (targets, sources))
        for pair in self._memory.values():
            for memory in pair:
                memory[to, :, :places] = memory[of, :, :places]

    def store(self, slots: Sequence[int], places: Sequence[int], numbers: Sequence[int]) -> None:
        """Keep block `places[i]` of slot `slots[i]` under `numbers[i]`."""
        slot, place, number = self._indices(slots, places, numbers)
        for layer, pair in self._memory.items():
            for memory, blocks in zip(pair, self._blocks_of(layer), strict=True):
                blocks[number] = self._in_blocks(memory)[slot, :, place]

    def restore(self, slots: Sequence[int], places: Sequence[int], numbers: Sequence[int]) -> None:
        """Write the block kept under `numbers[i]` to block `places[i]` of slot `slots[i]`."""
        slot, place, number = self._indices(slots, places, numbers)
        for layer, pair in self._memory.items():
            for memory, blocks in zip(pair, self._blocks_of(layer), strict=True):
                self._in_blocks(memory)[slot, :, place] = blocks[number]

    def read(self, prompts: Sequence[IntArray], *, threads: int | None) -> torch.Tensor | None:
        """The last hidden states (R, D), float32, at the ends of short `prompts`; what neighbours among them
        share is computed once, and nothing is kept. `threads` is for `read_together`."""
        if not self.together:
            return Recompute(self._model).read(prompts, threads=threads)
        return read_together(self._model, laid_out(prompts), threads=threads)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Called by the model: write a layer's new keys and values (R, H, W, D) and return all that its rows
        may see, (R, H, T, D)."""
        step = self._step
        if step is None:
            raise RuntimeError("keys and values came outside a forward pass")
        if layer_idx not in self._memory:
            self._memory[layer_idx] = (self._resized(key_states[:0]), self._resized(value_states[:0]))
        seen = []
        for memory, new in zip(self._memory[layer_idx], (key_states, value_states), strict=True):
            by_token = new.transpose(1, 2)
            memory[step.slot, :, step.place] = (
                by_token.flatten(0, 1) if step.real is None else by_token[step.real]
            )
            seen.append(memory[step.first : step.last, :, : step.span])
        return seen[0], seen[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Nothing that a model needs to know: positions and masks are given explicitly."""
        return 0

    def _compute(
        self, token_ids: NDArray[np.int64], positions: NDArray[np.int64], real: NDArray[np.bool_], first: int
    ) -> Outlook:
        if self._replay is not None and first == 0 and token_ids.shape[1] == 1:
            replayed = self._replayed(self._replay, token_ids, positions)
            if replayed is not None:
                return replayed
        device = self._model.device
        row, column = np.nonzero(real)
        step = _Step(
            first=first,
            last=first + len(token_ids),
            span=int(positions.max()) + 1,
            slot=torch.from_numpy(row + first).to(device),
            place=torch.from_numpy(positions[row, column]).to(device),
            real=None if real.all() else torch.from_numpy(real).to(device),
        )
        ids, at = (torch.from_numpy(numbers).to(device) for numbers in (token_ids, positions))
        return self._pass(step, ids, at)

    def _replayed(
        self, replay: Replay, token_ids: NDArray[np.int64], positions: NDArray[np.int64]
    ) -> Outlook | None:
        """A decoding step by a recording; None, from now on, for a model that cannot be recorded."""
        slots, places = self._size
        try:
            with boundary(ModelFailed, RuntimeError, what="its decoding steps cannot be recorded"):
                return replay(token_ids, positions, slots=slots, places=places, device=self._model.device)
        except ModelFailed as failure:
            name = type(self._model).__name__
            getLogger(__name__).warning("%s is sampled more slowly than it could be: %s", name, failure)
            self._replay = None
            return None

    def _decode(self, token_ids: torch.Tensor, at: torch.Tensor, span: int) -> Outlook:
        """One token (B, 1) each for the first B slots, at positions (B, 1)."""
        slot = torch.arange(len(token_ids), device=token_ids.device)
        return self._pass(_Step(0, len(token_ids), span, slot, at[:, 0], None), token_ids, at)

    def _pass(self, step: _Step, token_ids: torch.Tensor, at: torch.Tensor) -> Outlook:
        self._step = step
        place = torch.arange(step.span, device=at.device)
        try:
            with sdpa_kernel(_KERNELS):
                return last_outlook(
                    self._model,
                    input_ids=token_ids,
                    position_ids=at,
                    attention_mask=masks(self._model, at=at, place=place),
                    past_key_values=self,
                    use_cache=True,
                )
        finally:
            self._step = None

    def _resized(self, memory: torch.Tensor) -> torch.Tensor:
        """A zeroed memory of the reserved size with what `memory` (S, H, T, D) holds."""
        slots, places = self._size
        grown = memory.new_zeros((slots, memory.shape[1], places, memory.shape[3]))
        kept = memory[:slots, :, :places]
        grown[: kept.shape[0], :, : kept.shape[2]] = kept
        return grown

    def _blocks_of(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        if layer not in self._blocks:
            count = self.block_count
            keys, values = (m.new_empty((count, m.shape[1], BLOCK, m.shape[3])) for m in self._memory[layer])
            self._blocks[layer] = (keys, values)
        return self._blocks[layer]

    def _in_blocks(self, memory: torch.Tensor) -> torch.Tensor:
        """The memory (S, H, T, D) seen as (S, H, T / BLOCK, BLOCK, D)."""
        return memory.view(memory.shape[0], memory.shape[1], -1, BLOCK, memory.shape[3])

    def _indices(self, *columns: Sequence[int]) -> list[torch.Tensor]:
        return [torch.tensor(column, device=self._model.device) for column in columns]


def _rounded(count: int) -> int:
    return -(-count // BLOCK) * BLOCK


def _grown(count: int, size: int) -> int:
    """The next size that holds `count`: the old one where that suffices, else at least twice as much."""
    return size if count <= size else max(_rounded(count), 2 * size)
