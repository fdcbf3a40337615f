"""Training by several processes at the word of one: what the first is told to do, all of them do.

The first process plays, evaluates and keeps the run; the others only hold their part of the weights and wait
for what comes. With one process there is nothing of this. Leaves out how processes share work (`world.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trace_gym.core.policy import Checkpoint
from trace_gym.core.tokens import IntArray
from trace_gym.core.tree import Forest
from trace_gym.train.config import TrainConfig
from trace_gym.train.trainer import Trainer
from trace_gym.train.world import World


@dataclass(frozen=True, slots=True)
class Start:
    """Which weights training starts from: a model's `folder`, or, `resumed`, that of a checkpoint."""

    folder: Path
    resumed: bool


class Leader:
    """A trainer whose calls are made in all processes. Lifecycle: `close` lets the others go."""

    def __init__(self, trainer: Trainer, world: World) -> None:
        self._trainer = trainer
        self._world = world

    def update(self, forest: Forest) -> dict[str, float]:
        """As `Trainer.update`."""
        self._world.tell(("update", forest))
        return self._trainer.update(forest)

    def remember(self, forest: Forest) -> None:
        """As `Trainer.remember`."""
        self._world.tell(("remember", forest))
        self._trainer.remember(forest)

    def save(self, folder: Path) -> Checkpoint:
        """As `Trainer.save`."""
        self._world.tell(("save", folder))
        return self._trainer.save(folder)

    def score(self, pairs: Sequence[tuple[IntArray, IntArray]]) -> list[NDArray[np.float64]]:
        """As `Trainer.score`."""
        self._world.tell(("score", pairs))
        return self._trainer.score(pairs)

    def close(self) -> None:
        """Tell the others that nothing more will come."""
        self._world.tell(None)


def lead(start: Start, config: TrainConfig, *, device: str) -> Trainer | Leader:
    """The trainer of a run; in the first of several processes, one that the others follow."""
    world = World.current()
    if world.size == 1:
        return _made(start, config, device)
    world.tell(start)
    return Leader(_made(start, config, device), world)


def follow(config: TrainConfig, *, device: str | None = None) -> None:
    """Do what the first process does, until it is done. `device` defaults to this process's own GPU."""
    world = World.current()
    own = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    trainer = _made(world.told(), config, device or own)
    names = ("update", "remember", "save", "score")
    calls: dict[str, Any] = {name: getattr(trainer, name) for name in names}
    while (order := world.told()) is not None:
        name, argument = order
        calls[name](argument)


def _made(start: Start, config: TrainConfig, device: str) -> Trainer:
    if start.resumed:
        return Trainer.resume(start.folder, config=config, device=device)
    return Trainer.load(start.folder, config, device=device)
