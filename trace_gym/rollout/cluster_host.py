"""What lives on a node of a cluster: its environments with their snapshots, or a replica of the policy.

Both are made there, from names and paths that mean the same on every node: suites must be installed, and
files lie where this node finds them too. Leaves out which node is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from trace_gym.core.action import Action
from trace_gym.core.errors import ModelFailed
from trace_gym.core.policy import Checkpoint, Completion, SampleRequest
from trace_gym.core.task import Task
from trace_gym.core.tokens import FloatArray, IntArray
from trace_gym.environment.fork import Snapshot
from trace_gym.environment.registry import suite
from trace_gym.rollout.policy_torch import TorchPolicy
from trace_gym.rollout.seat import Stand
from trace_gym.rollout.worker import Worker, WorkerPool


class EnvironmentHost:
    """The environments of a node. A seat, and a kept snapshot, are numbers to whoever asks."""

    def __init__(self, specs: Mapping[str, str], size: int) -> None:
        """`specs`: how each suite is written, by its name; `size` seats."""
        makers = {name: suite(spec).make for name, spec in specs.items()}
        self._pool = WorkerPool(makers, size)
        self._seats: dict[int, Worker] = {}
        self._kept: dict[int, Snapshot] = {}
        self._numbers = count()

    async def take(self) -> int:
        """A seat."""
        number = next(self._numbers)
        self._seats[number] = await self._pool.take()
        return number

    async def leave(self, seat: int) -> None:
        """Hand a seat back."""
        self._seats.pop(seat).leave()

    async def begin(self, seat: int, task: Task, keep: bool, oracle: bool) -> tuple[Stand, int | None]:
        """As Seat.begin; a snapshot comes as its number beside the stand."""
        return self._kept_here(await self._seats[seat].begin(task, keep=keep, oracle=oracle))

    async def step(
        self, seat: int, task: Task, action: Action, keep: bool, oracle: bool
    ) -> tuple[Stand, int | None]:
        """As Seat.step; a snapshot comes as its number beside the stand."""
        return self._kept_here(await self._seats[seat].step(task, action, keep=keep, oracle=oracle))

    async def resume(self, seat: int, task: Task, kept: int, oracle: bool) -> Action | None:
        """As Seat.resume."""
        return await self._seats[seat].resume(task, self._kept[kept], oracle=oracle)

    async def replay(
        self, seat: int, task: Task, actions: Sequence[Action], digests: Sequence[str]
    ) -> list[Stand]:
        """As Seat.replay."""
        return await self._seats[seat].replay(task, actions, digests)

    async def oracle(self, seat: int, task: Task) -> Action | None:
        """As Seat.oracle."""
        return await self._seats[seat].oracle(task)

    async def forget(self, kept: int) -> None:
        """Free a snapshot."""
        self._kept.pop(kept).close()

    async def close(self) -> None:
        """Free the snapshots and close the environments."""
        while self._kept:
            self._kept.popitem()[1].close()
        while self._seats:
            self._seats.popitem()[1].leave()
        self._pool.close()

    def _kept_here(self, stand: Stand) -> tuple[Stand, int | None]:
        if not isinstance(stand.snapshot, Snapshot):
            return stand, None
        number = next(self._numbers)
        self._kept[number] = stand.snapshot
        return replace(stand, snapshot=None), number


class ReplicaHost:
    """A replica of the policy on a node."""

    def __init__(self, folder: str, options: Mapping[str, Any]) -> None:
        """`options` are TorchPolicy's."""
        _demand(Path(folder))
        self._policy = TorchPolicy(folder, **options)

    async def facts(self) -> tuple[int, int]:
        """Version and context size."""
        return self._policy.version, self._policy.context_size

    async def sample(self, request: SampleRequest) -> Completion:
        """As Policy.sample."""
        return await self._policy.sample(request)

    async def encode(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        """As Policy.encode."""
        return await self._policy.encode(prompts)

    async def load(self, checkpoint: Checkpoint) -> None:
        """As Policy.load."""
        _demand(checkpoint.path)
        await self._policy.load(checkpoint)

    async def close(self) -> None:
        """Stop it."""
        self._policy.close()


def _demand(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelFailed(f"this node does not see {folder}; put it on a file system that all nodes share")
