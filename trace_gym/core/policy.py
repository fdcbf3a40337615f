"""Token policies: what they are asked, what they answer, and how they take new weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from trace_gym.core.tokens import FloatArray, IntArray


class Finish(StrEnum):
    """STOP: a stop token was sampled (it is the last of `token_ids`). LENGTH: `max_tokens` reached."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True, eq=False)
class SampleRequest:
    """One turn to sample: `prompt_ids` (T,), a limit, and a seed that alone decides the draw.

    `temperature` 0 is greedy. `prompt_ids[:cached]` is a prefix sampled or seen before by the same policy
    version: a hint for caches, never needed for correctness.
    """

    prompt_ids: IntArray
    max_tokens: int
    seed: int
    stop_ids: tuple[int, ...] = ()
    temperature: float = 1.0
    top_p: float = 1.0
    cached: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}")
        if not len(self.prompt_ids):
            raise ValueError("a sample request needs at least one prompt token")


@dataclass(frozen=True, slots=True, eq=False)
class Completion:
    """What was sampled: `token_ids` (A,), `logprobs` (A,) under the distribution it was drawn from and
    `entropy` (A,), in nats; `hidden` (D,) the last hidden state at the end of the prompt, if the policy
    can tell; `fresh` and `cached` prompt tokens; wall `seconds` of its share of the batch."""

    token_ids: IntArray
    logprobs: FloatArray
    entropy: FloatArray
    version: int
    finish: Finish
    fresh: int
    cached: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    hidden: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A Hugging Face model folder and the policy version it holds."""

    path: Path
    version: int


class Policy(Protocol):
    """Samples turns. Requests that arrive together are computed together."""

    @property
    def version(self) -> int:
        """The version of the weights in use; every completion carries its own."""
        ...

    @property
    def context_size(self) -> int:
        """How many tokens prompt and completion may have together."""
        ...

    async def sample(self, request: SampleRequest) -> Completion:
        """Sample one turn. Raises ModelFailed, ContextExceeded."""
        ...

    async def encode(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        """The last hidden state (D,) at the end of each prompt, None where the policy cannot tell."""
        ...

    async def load(self, checkpoint: Checkpoint) -> None:
        """Take new weights; nothing sampled afterwards is of the old version."""
        ...

    def close(self) -> None:
        """Release what it holds. Idempotent."""
        ...
