"""Predicting success from a prefix: what a predictor is asked, answers and learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trace_gym.core.check import Verdict
from trace_gym.core.tokens import FloatArray
from trace_gym.core.tree import Forest


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """A turn prefix to be judged (depth 0: the bare task). `hidden` (D,) is the policy's state there."""

    task: str
    suite: str
    depth: int
    max_turns: int
    verdicts: tuple[Verdict, ...] = ()
    hidden: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Success of play from a prefix: mean in (0, 1); `concentration`, the number of observations it is
    worth (a Beta's a+b); `tokens` and `turns`, what is expected to be sampled until the end (None:
    unknown)."""

    mean: float
    concentration: float = 2.0
    tokens: float | None = None
    turns: float | None = None


class Predictor(Protocol):
    """V~(H): one predictor for roots and prefixes. Used by allocation, never by the policy gradient."""

    def predict(self, prefixes: Sequence[Prefix]) -> list[Prediction]:
        """One prediction per prefix."""
        ...

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Update on a finished step; returns metrics, measured on the forest *before* the update."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where `state_dict` was taken."""
        ...
