"""What to do: a task, the split it belongs to, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Split(StrEnum):
    """Training may see TRAIN only; TEST is for evaluation."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one episode. `max_turns` counts agent actions; `step_timeout_s` is wall time of one step.

    `max_tokens` sampled, `max_seconds` of model and environment and `max_usd` bound the whole episode, a
    shared prefix included; None is no bound. Tokens are a hard bound (the last turn may sample what is left);
    seconds and money are looked at before every turn.
    """

    max_turns: int = 20
    step_timeout_s: float = 30.0
    max_tokens: int | None = None
    max_seconds: float | None = None
    max_usd: float | None = None

    def __post_init__(self) -> None:
        if self.max_turns < 1:
            raise ValueError(f"max_turns must be at least 1, got {self.max_turns}")
        if self.step_timeout_s <= 0:
            raise ValueError(f"step_timeout_s must be positive, got {self.step_timeout_s}")
        for name in ("max_tokens", "max_seconds", "max_usd"):
            bound = getattr(self, name)
            if bound is not None and bound <= 0:
                raise ValueError(f"{name} must be positive, got {bound}")


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a suite.

    `id` is unique within the suite and stable over versions; `family` groups tasks that share what is
    to be found out (families never straddle splits); `subset` names the part of the suite for reports;
    `payload` is JSON data for the environment alone (gold answers included): agents never see it.
    """

    id: str
    suite: str
    split: Split
    family: str
    seed: int = 0
    subset: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()

    @property
    def key(self) -> str:
        """Unique over all suites: `suite/id`."""
        return f"{self.suite}/{self.id}"
