"""Decoding steps that are recorded once and replayed.

On a GPU a small model's pass takes longer to launch, kernel by kernel, than to compute; a CUDA graph launches
it as one. Rows and places are rounded up, so that few shapes are recorded. Leaves out what a pass computes
(`slots.py`). Shapes: R rows, B >= R rows of a recording, T places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trace_gym.model.outlook import Outlook

ROWS, PLACES = 16, 256
"""Rows and places of a recording are multiples of these: less padding, or fewer recordings."""

Pass: TypeAlias = Callable[[], Outlook]
Recorder: TypeAlias = Callable[[Pass], Pass]
"""Makes of a pass one that computes the same again, from what its tensors hold by then. The memory that its
passes share goes with the last of them, so after `forget` another is needed."""


class Recording(NamedTuple):
    """One shape: `given` (2, B) int64, token ids and positions, and the pass that reads them."""

    given: Tensor
    again: Pass


class Replay:
    """One token for each of the rows in the first slots.

    `compute(token_ids, positions, places)` is a pass over (B, 1) token ids at (B, 1) positions, all below
    `places`, row b in slot b. Rows that only fill a recording up write token 0 to place 0 of slots that
    nobody uses. What a call returns holds until the next call.
    """

    def __init__(
        self, compute: Callable[[Tensor, Tensor, int], Outlook], recorder: Callable[[], Recorder]
    ) -> None:
        self._compute = compute
        self._recorder = recorder
        self._record = recorder()
        self._recordings: dict[tuple[int, int], Recording] = {}

    def __call__(
        self,
        token_ids: NDArray[np.int64],
        positions: NDArray[np.int64],
        *,
        slots: int,
        places: int,
        device: torch.device,
    ) -> Outlook:
        """The outlook (R, ...) of `token_ids` (R, 1) at `positions` (R, 1), with memory for so many slots and
        places."""
        count = len(token_ids)
        rows = min(_up(count, ROWS), slots)
        span = min(_up(int(positions.max()) + 1, PLACES), places)
        given = np.zeros((2, rows), dtype=np.int64)
        given[0, :count], given[1, :count] = token_ids[:, 0], positions[:, 0]
        fresh = torch.from_numpy(given)
        recording = self._recordings.get((rows, span))
        if recording is None:
            recording = self._recordings[rows, span] = self._recorded(fresh.to(device), span)
        else:
            recording.given.copy_(fresh)
        outlook = recording.again()
        return Outlook(outlook.logits[:count], None if outlook.hidden is None else outlook.hidden[:count])

    def forget(self) -> None:
        """Drop all recordings: what they read and write has moved."""
        self._recordings.clear()
        self._record = self._recorder()

    def _recorded(self, given: Tensor, span: int) -> Recording:
        token_ids, positions = given[0][:, None], given[1][:, None]
        return Recording(given, self._record(lambda: self._compute(token_ids, positions, span)))


def cuda_recorder(device: torch.device) -> Recorder:
    """Records passes as CUDA graphs, which share their memory: one runs at a time."""
    pool = torch.cuda.graph_pool_handle()

    def record(once: Pass) -> Pass:
        with torch.cuda.device(device):
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                once()  # what a first pass sets up must not be recorded
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                outlook = once()

        def again() -> Outlook:
            graph.replay()
            return outlook

        return again

    return record


def _up(count: int, step: int) -> int:
    return -(-count // step) * step
