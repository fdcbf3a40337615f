"""One sequence that an engine samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trace_gym.core.tokens import FloatArray, IntArray


@dataclass(slots=True, eq=False)
class Row:
    """One sequence to sample, and what has come of it so far. `limit` 0 asks for the hidden state alone.

    `ids[:length]` are prompt and sampled tokens; `seconds` is this row's share of the wall time.
    """

    prompt_ids: IntArray
    limit: int
    seed: int = 0
    stop_ids: frozenset[int] = frozenset()
    temperature: float = 1.0
    top_p: float = 1.0
    ids: IntArray = field(init=False)
    length: int = field(init=False)
    stopped: bool = False
    logprobs: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    hidden: FloatArray | None = None
    cached: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.length = len(self.prompt_ids)
        self.ids = np.zeros(self.length + self.limit, dtype=np.int32)
        self.ids[: self.length] = self.prompt_ids

    @property
    def sampled(self) -> IntArray:
        """The tokens drawn so far (A,)."""
        return self.ids[len(self.prompt_ids) : self.length]

    @property
    def done(self) -> bool:
        """Is it stopped or full?"""
        return self.stopped or self.length == len(self.ids)

    def append(self, token: int, logprob: float, entropy: float) -> None:
        """Take a drawn token."""
        self.ids[self.length] = token
        self.length += 1
        self.logprobs.append(logprob)
        self.entropy.append(entropy)
        self.stopped = token in self.stop_ids
