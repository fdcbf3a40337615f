"""A policy that vLLM samples: a server that is started and watched here, or some that are there already.

Requests are independent; the server batches them, and finds the beginnings of forks and later turns in its
prefix cache. New weights are loaded in place while it is paused; new adapters beside the old ones. The
entropy is a lower bound, from the likeliest tokens. Leaves out the servers (`vllm_fleet.py`), which adapters
are in use (`vllm_adapters.py`), and hidden states: none gives them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np

from trace_gym.core.errors import ContextExceeded, ModelFailed
from trace_gym.core.policy import Checkpoint, Completion, Finish, SampleRequest
from trace_gym.core.tokens import FloatArray, IntArray, floats, ids
from trace_gym.rollout.shares import Shares
from trace_gym.rollout.vllm_adapters import Adapters, Weights
from trace_gym.rollout.vllm_dialect import SERVED, Launch
from trace_gym.rollout.vllm_fleet import Fleet, VllmConfig
from trace_gym.rollout.vllm_server import VllmServer, vllm_python
from trace_gym.rollout.vllm_weights import ADAPTER, adapter_misfit, misfit

T = TypeVar("T")
CLOSING_S = 60.0


class VllmPolicy:
    """Implements core's Policy over the model in the folder `model`. Servers are asked on one thread of its
    own, so that event loops may come and go.

    A completion's version is that of the weights when it was asked for; what is in flight while weights are
    loaded goes on with the new ones, but with `config.lora` with its own. The cache is salted by weights, so
    no prefix outlives them. Then `model` is what the adapters belong to, of at most `rank`. Without
    `config.base_url` a server is started, its log kept in `folder`; one that ended is started again, with the
    newest weights, by the next request. `server` is ours. Use it as a context manager, or `close` it.
    """

    def __init__(
        self,
        model: Path,
        config: VllmConfig | None = None,
        *,
        folder: Path,
        dtype: str = "auto",
        context_size: int | None = None,
        max_batch: int | None = None,
        version: int = 0,
        rank: int = 16,
    ) -> None:
        """Waits until the server answers. Raises ModelFailed, MissingExtra."""
        config = config or VllmConfig()
        self.server = None if config.base_url else VllmServer(vllm_python(config.python), folder)
        launch = Launch(
            model=str(model.absolute()),
            socket=str(self.server.socket) if self.server else "",
            dtype=dtype,
            top=config.top,
            context_size=context_size,
            memory_gib=config.memory_gib,
            gpu_share=config.gpu_share,
            rows=max_batch,
            rank=rank if config.lora else 0,
            more=config.argument,
        )
        self._fleet = Fleet(config, self.server, launch)
        self._model = model
        self._rank = rank if config.lora else 0
        self._nonce, self._loads = uuid4().hex, 0
        self._adapters = Adapters(self._fleet, Weights(version, f"{self._nonce}-0"))
        self._shares = Shares(time.perf_counter)
        self._closed = False
        self._exclusive, self._admitting = asyncio.Lock(), asyncio.Event()
        self._admitting.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        try:
            self.context_size = self._submitted(self._fleet.open()).result()
        except BaseException:
            self.close()
            raise

    @property
    def version(self) -> int:
        """The version of the weights in use."""
        return self._adapters.newest.version

    @property
    def shares(self) -> Shares:
        """How many requests are with the servers at once, and for how long any are."""
        return self._shares

    async def sample(self, request: SampleRequest) -> Completion:
        """Sample one turn; `max_tokens` is capped to what the context leaves.

        Raises ContextExceeded if the prompt leaves no room for a single token, ModelFailed, ValueError.
        """
        if request.temperature < 0 or not 0 < request.top_p <= 1:
            given = f"{request.temperature} and {request.top_p}"
            raise ValueError(f"temperature must be at least 0 and top_p lie in (0, 1], got {given}")
        if self.context_size <= len(request.prompt_ids):
            size = f"{len(request.prompt_ids)} tokens in a context of {self.context_size}"
            raise ContextExceeded(f"the prompt leaves no room to sample: {size}")
        return await asyncio.wrap_future(self._submitted(self._sample(request)))

    async def encode(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        """None for each prompt: a server tells no hidden states. Raises ContextExceeded."""
        for prompt_ids in prompts:
            if not 0 < len(prompt_ids) <= self.context_size:
                size = f"{len(prompt_ids)} tokens, the context {self.context_size}"
                raise ContextExceeded(f"a prompt to encode must fit the context: it has {size}")
        return [None for _ in prompts]

    async def load(self, checkpoint: Checkpoint) -> None:
        """Take the weights of a folder of the same architecture, which the servers must be able to read; with
        `config.lora` the adapter in it, or none if it is `model` itself.

        Requests made meanwhile wait for them, or take the old adapter. Raises ModelFailed, and the old
        weights stay.
        """
        await asyncio.wrap_future(self._submitted(self._load(checkpoint)))

    def close(self) -> None:
        """End the server, or leave those that were there; who still waits gets ModelFailed. Idempotent."""
        self._closed = True
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(CLOSING_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSING_S)
        self._loop.close()

    def __enter__(self) -> VllmPolicy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _submitted(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._closed:
            work.close()
            raise ModelFailed("the policy is closed")
        return asyncio.run_coroutine_threadsafe(self._unless_closed(work), self._loop)

    # What follows runs on the policy's own thread.

    async def _unless_closed(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except asyncio.CancelledError:
            if self._closed:
                raise ModelFailed("the policy was closed") from None
            raise

    async def _end(self) -> None:
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._fleet.close()

    async def _sample(self, request: SampleRequest) -> Completion:
        await self._admitting.wait()
        if self._fleet.down:
            async with self._exclusive:
                await self._fleet.revive()
        share, room = self._shares.enter(), self.context_size - len(request.prompt_ids)
        try:
            with self._adapters.used() as weights:
                sampled = await self._fleet.complete(
                    request, room=room, salt=weights.salt, adapter=weights.adapter
                )
            seconds = self._shares.total() - share
        finally:
            self._shares.leave()
        tokens = ids(sampled.token_ids)
        sure = np.zeros(len(tokens), dtype=np.float32)
        greedy = request.temperature == 0
        return Completion(
            token_ids=tokens,
            logprobs=floats(sure if greedy else sampled.logprobs),
            entropy=floats(sure if greedy else sampled.entropy),
            version=weights.version,
            finish=Finish.STOP if int(tokens[-1]) in request.stop_ids else Finish.LENGTH,
            fresh=len(request.prompt_ids) - sampled.cached,
            cached=sampled.cached,
            seconds=seconds,
        )

    async def _load(self, checkpoint: Checkpoint) -> None:
        async with self._exclusive:
            self._loads += 1
            new = Weights(checkpoint.version, f"{self._nonce}-{self._loads}")
            if self._rank:
                await self._take_adapter(checkpoint.path, new)
            else:
                await self._take_weights(checkpoint.path, new)

    async def _take_weights(self, folder: Path, new: Weights) -> None:
        reason = misfit(self._model, folder)
        if reason is not None:
            raise ModelFailed(f"cannot take weights from {folder}: {reason}")
        self._admitting.clear()
        try:
            await self._fleet.exchange(folder)
            self._model = folder
            await self._adapters.change(new)
        finally:
            self._admitting.set()

    async def _take_adapter(self, folder: Path, new: Weights) -> None:
        if folder.absolute() == self._model.absolute():
            return await self._adapters.change(new)
        reason = adapter_misfit(self._model, folder / ADAPTER, rank=self._rank)
        if reason is not None:
            raise ModelFailed(f"cannot take the adapter from {folder}: {reason}")
        new.adapter = f"{SERVED}-{new.version}-{new.salt}"
        await self._adapters.change(new, folder / ADAPTER)
