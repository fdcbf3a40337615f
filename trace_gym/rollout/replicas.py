"""The policy as replicas on the nodes of a Ray cluster.

A turn goes to the replica that has seen its beginning (`routes.py`), so that forks and later turns find it
cached; where a replica is lost its turns go to the others, with the same seed and so the same draw. Leaves
out engines of their own, which serve over HTTP (`policy_vllm.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trace_gym.core.errors import ModelFailed
from trace_gym.core.policy import Checkpoint, Completion, SampleRequest
from trace_gym.core.tokens import FloatArray, IntArray
from trace_gym.rollout.cluster_host import ReplicaHost
from trace_gym.rollout.ray_actors import Actor, Cluster, Lost
from trace_gym.rollout.routes import Routes

log = logging.getLogger(__name__)


class ReplicatedPolicy:
    """Implements core's Policy over replicas of the model in one folder. Made by `open_replicas`."""

    def __init__(
        self,
        replicas: Sequence[Actor],
        *,
        version: int,
        context_size: int,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._replicas: dict[int, Actor] = dict(enumerate(replicas))
        self._routes = Routes(len(replicas))
        self._timeout_s = timeout_s
        self._clock = clock
        self._version = version
        self._context_size = context_size

    @property
    def version(self) -> int:
        """The version of the weights in use."""
        return self._version

    @property
    def context_size(self) -> int:
        """How many tokens prompt and completion may have together."""
        return self._context_size

    async def sample(self, request: SampleRequest) -> Completion:
        """As Policy.sample. Raises ModelFailed: no replica is left."""
        while self._replicas:
            number = self._routes.take(request.prompt_ids, request.cached, now=self._clock())
            sequence = None
            try:
                completion: Completion = await self._ask(number, "sample", request)
                sequence = np.concatenate([request.prompt_ids, completion.token_ids])
                return completion
            except Lost as error:
                self._lose(number, error)
            finally:
                self._routes.give(number, sequence)
        raise ModelFailed("no replica of the policy is left")

    async def encode(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        """As Policy.encode; shared out over the replicas."""

        async def share(given: Sequence[IntArray]) -> list[FloatArray | None]:
            while self._replicas:
                number = self._routes.take(given[0], 0, now=self._clock())
                try:
                    states: list[FloatArray | None] = await self._ask(number, "encode", given)
                    return states
                except Lost as error:
                    self._lose(number, error)
                finally:
                    self._routes.give(number)
            raise ModelFailed("no replica of the policy is left")

        size = max(1, -(-len(prompts) // max(1, len(self._replicas))))
        shares = [prompts[at : at + size] for at in range(0, len(prompts), size)]
        return [state for states in await asyncio.gather(*map(share, shares)) for state in states]

    async def load(self, checkpoint: Checkpoint) -> None:
        """Give all replicas new weights. One that is lost meanwhile is left out from then on; ModelFailed
        where one refuses them or none is left."""

        async def give(number: int) -> None:
            try:
                await self._ask(number, "load", checkpoint)
            except Lost as error:
                self._lose(number, error)

        await asyncio.gather(*map(give, list(self._replicas)))
        if not self._replicas:
            raise ModelFailed("no replica of the policy is left")
        self._routes.forget()
        self._version = checkpoint.version

    def close(self) -> None:
        """Stop the replicas. Idempotent."""
        while self._replicas:
            self._replicas.popitem()[1].stop()

    async def _ask(self, number: int, method: str, given: Any) -> Any:
        replica = self._replicas.get(number)
        if replica is None:
            raise Lost("it was lost before")
        return await replica.call(method, given, timeout_s=self._timeout_s)

    def _lose(self, number: int, error: Lost) -> None:
        self._routes.lose(number, until=float("inf"))
        if self._replicas.pop(number, None) is not None:
            left = len(self._replicas)
            log.warning("a replica of the policy is lost, %d are left: %s", left, error)


def open_replicas(
    cluster: Cluster,
    folder: Path,
    *,
    options: Mapping[str, Any],
    gpus: float = 0.0,
    timeout_s: float = 600.0,
) -> ReplicatedPolicy:
    """A replica on every node of the cluster that has `gpus` for it; `options` are TorchPolicy's. Raises
    ModelFailed."""
    nodes = cluster.nodes(gpus=gpus)
    if not nodes:
        raise ModelFailed(f"no node of the cluster has {gpus:g} GPUs for a replica of the policy")
    replicas = [
        cluster.place(ReplicaHost, str(folder), dict(options), node=node, gpus=gpus) for node in nodes
    ]
    try:
        facts = [each.ask("facts", timeout_s=timeout_s) for each in replicas]
    except Lost as error:
        for replica in replicas:
            replica.stop()
        raise ModelFailed(f"a replica of the policy could not be made: {error}") from error
    version, context_size = facts[0]
    return ReplicatedPolicy(replicas, version=version, context_size=context_size, timeout_s=timeout_s)
