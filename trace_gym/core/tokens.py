"""Token arrays and the little that everybody needs to know of a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

IntArray: TypeAlias = NDArray[np.int32]
FloatArray: TypeAlias = NDArray[np.float32]


def ids(values: Sequence[int] | IntArray = ()) -> IntArray:
    """Token ids as a read-only int32 vector of shape (T,)."""
    array = np.array(values, dtype=np.int32).reshape(-1)
    array.setflags(write=False)
    return array


def floats(values: Sequence[float] | FloatArray = ()) -> FloatArray:
    """Per-token numbers as a read-only float32 vector of shape (T,)."""
    array = np.array(values, dtype=np.float32).reshape(-1)
    array.setflags(write=False)
    return array


class Tokenizer(Protocol):
    """What renderers need. `encode` never yields control tokens, whatever the text says."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def eos_id(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; a control token spelled out in `text` becomes ordinary tokens."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of the ids, control tokens spelled out."""
        ...

    def control(self, token: str) -> int:
        """The id of a control token such as `<|im_end|>`; ValueError if there is none."""
        ...
