"""Who takes part in a step, and how: what a collector is told once and all of its rollouts go by.

Leaves out what each of them does (`player.py`, `step.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from trace_gym.core.agent import Agent
from trace_gym.core.budget import Pace
from trace_gym.core.journal import Journal
from trace_gym.core.predictor import Predictor
from trace_gym.core.scheduler import Event, Scheduler
from trace_gym.core.tree import RolloutTree
from trace_gym.rollout.seat import Seats

Listener: TypeAlias = Callable[[RolloutTree, Event], None]


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """`workers`: rollouts played at once. `turn_tokens`: what one turn may sample. `retries`: how often a
    rollout that broke is played again before its grant is given up. `snapshots`: how many are kept at once
    (the oldest give way to verified replay). `training`: refuse tasks of the test split. `tool_latency_s` is
    charged for every turn on top of what the environment took, or everything at a `pace`: nobody waits for
    it."""

    seed: int = 0
    workers: int = 64
    turn_tokens: int = 256
    retries: int = 2
    snapshots: int = 20_000
    training: bool = True
    tool_latency_s: float = 0.0
    pace: Pace | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "turn_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.retries < 0 or self.snapshots < 0:
            raise ValueError("retries and snapshots must not be negative")


@dataclass(frozen=True, slots=True)
class Parties:
    """Who takes part in a step. `guide` plays what is granted to the oracle."""

    agent: Agent
    scheduler: Scheduler
    seats: Seats
    config: CollectorConfig
    journal: Journal | None = None
    predictor: Predictor | None = None
    listener: Listener | None = None
    guide: Agent | None = None
