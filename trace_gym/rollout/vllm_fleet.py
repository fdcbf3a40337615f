"""The vLLM servers of a policy: one that is started and watched here, or some that are there already.

Everything runs on one event loop. Leaves out versions of weights, who waits for them, and what a completion
counts for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trace_gym.core.errors import ModelFailed, boundary
from trace_gym.core.policy import SampleRequest
from trace_gym.core.tokens import IntArray, ids
from trace_gym.rollout.routes import Routes
from trace_gym.rollout.vllm_client import ServerLost, VllmClient
from trace_gym.rollout.vllm_dialect import (
    CALL,
    COMPLETIONS,
    PAUSE,
    RESET,
    RESUME,
    Launch,
    Sampled,
    answer,
    begin_call,
    load_call,
    question,
)
from trace_gym.rollout.vllm_server import VllmServer

AVOIDED_S = 30.0
"""How long a server that did not answer is avoided where there are others."""
LEAVING_S = 10.0
"""How long servers that stay are given to forget our adapters."""


@dataclass(frozen=True, slots=True)
class VllmConfig:
    """`base_url`: servers that are there already; else one is started by `python` (see `vllm_python`), at
    most `restarts` times again. A request may take `timeout_s`, a start `start_timeout_s`, and what fails in
    passing is asked `retries` times again. `top`: of how many tokens log-probs are asked, for the entropy.
    `memory_gib` for keys and values on a CPU, `gpu_share` of a GPU; `argument`: further ones for vLLM.
    `lora`: take the adapters of a checkpoint, each under a new name, rather than all its weights."""

    base_url: tuple[str, ...] = ()
    python: str | None = None
    timeout_s: float = 600.0
    start_timeout_s: float = 600.0
    retries: int = 4
    restarts: int = 3
    top: int = 20
    memory_gib: float = 2.0
    gpu_share: float = 0.5
    lora: bool = False
    argument: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        positive = (self.timeout_s, self.start_timeout_s, self.memory_gib, self.gpu_share)
        if not all(number > 0 for number in positive):
            given = ", ".join(f"{number:g}" for number in positive)
            raise ValueError(
                f"timeout_s, start_timeout_s, memory_gib and gpu_share must be positive, got {given}"
            )
        if self.retries < 0 or self.restarts < 0 or self.top < 1:
            given = f"{self.retries}, {self.restarts} and {self.top}"
            raise ValueError(f"retries and restarts must not be negative and top at least 1, got {given}")


class Fleet:
    """Lifecycle: made over a `server` of ours that is not started yet, or None where the configuration names
    some; `open`ed and `close`d on the same loop. `launch` says what our server is started with next."""

    def __init__(self, config: VllmConfig, server: VllmServer | None, launch: Launch) -> None:
        self._config = config
        self._server = server
        self._launch = launch
        self._clients: list[VllmClient] = []
        self._names: list[str] = []
        self._routes = Routes(max(1, len(config.base_url)))
        self._starts = 0
        self._ready: int | None = None
        self._torn: str | None = None
        self._adapters: dict[str, Path] = {}

    async def open(self) -> int:
        """Reach every server; the size of the smallest context. Raises ModelFailed."""
        timeout_s, retries = self._config.timeout_s, self._config.retries
        for url in self._config.base_url:
            self._clients.append(VllmClient(url, timeout_s=timeout_s, retries=retries))
        if self._server is not None:
            socket = self._server.socket
            self._clients.append(
                VllmClient("http://vllm", timeout_s=timeout_s, retries=retries, socket=socket)
            )
            await self._start(self._server)
        found = await asyncio.gather(*(client.describe() for client in self._clients))
        if self._config.lora and self._server is None:
            await asyncio.gather(*(client.demand_adapters() for client in self._clients))
        self._names = [name for name, _ in found]
        return min(size for _, size in found)

    @property
    def down(self) -> bool:
        """Has our server ended, or does it not answer yet?"""
        server = self._server
        return server is not None and (server.number != self._ready or server.why_ended() is not None)

    async def revive(self) -> None:
        """See that our server runs. One caller at a time. Raises ModelFailed."""
        reason = self._server.why_ended() if self._server else None
        if self._server is None or reason is None:
            return
        if self._starts > self._config.restarts:
            raise ModelFailed(f"{reason}; it was started {self._starts} times, which is enough")
        await self._start(self._server)

    async def complete(
        self, request: SampleRequest, *, room: int, salt: str, adapter: str | None = None
    ) -> Sampled:
        """What a server samples, at most `room` tokens, with an adapter or without. Raises ModelFailed."""
        body = question(
            request.prompt_ids.tolist(),
            model="",
            max_tokens=min(request.max_tokens, room),
            seed=request.seed,
            stop_ids=request.stop_ids,
            temperature=request.temperature,
            top_p=request.top_p,
            top=self._config.top,
            salt=salt,
        )
        if self._torn is not None:
            raise ModelFailed(f"the servers may have different weights: {self._torn}")
        reason = ModelFailed("there is no server")
        for _ in self._clients:
            number = self._routes.take(request.prompt_ids, request.cached, now=time.perf_counter())
            sequence: IntArray | None = None
            try:
                body["model"] = adapter or self._names[number]
                said = await self._ask(self._clients[number], COMPLETIONS, body)
                odd = (KeyError, IndexError, TypeError, ValueError)
                with boundary(ModelFailed, *odd, what=f"{self._clients[number].url} answered oddly"):
                    sampled = answer(said)
                sequence = ids(np.concatenate([request.prompt_ids, ids(sampled.token_ids)]))
                return sampled
            except ServerLost as lost:
                reason = lost
                self._routes.lose(number, until=time.perf_counter() + AVOIDED_S)
            finally:
                self._routes.give(number, sequence)
        raise reason

    async def exchange(self, folder: Path) -> None:
        """Give all servers the weights in `folder`; what is in flight goes on with them. Raises ModelFailed;
        servers that were there may then differ, and none is asked until they agree again."""
        if self._server is None or self._server.why_ended() is None:
            giving = (self._exchange(client, folder) for client in self._clients)
            for failure in await asyncio.gather(*giving, return_exceptions=True):
                if isinstance(failure, BaseException):
                    self._torn = None if self._server else str(failure)
                    raise failure
        self._torn = None
        self._launch = replace(self._launch, model=str(folder.absolute()))
        self._routes.forget()

    async def add_adapter(self, name: str, folder: Path) -> None:
        """Let requests ask for an adapter, by a name that none had before. Our server, started again, has it
        again. Raises ModelFailed where one server does not take it; then none keeps it."""
        self._adapters[name] = folder
        if self.down:
            return
        adding = (self._add(client, name, folder) for client in self._clients)
        for failure in await asyncio.gather(*adding, return_exceptions=True):
            if isinstance(failure, BaseException):
                await self.drop_adapter(name)
                raise ModelFailed(f"cannot give vLLM the adapter in {folder}: {failure}") from failure
        self._routes.forget()

    async def drop_adapter(self, name: str) -> None:
        """Have the servers forget an adapter, those that can be told."""
        if not self.down:
            dropping = (client.drop_adapter(name, why_gone=self._why_gone()) for client in self._clients)
            await asyncio.gather(*dropping, return_exceptions=True)
        self._adapters.pop(name, None)

    async def close(self) -> None:
        """Close the connections, and end our server for good. Idempotent."""
        if self._server is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVING_S):
                    await asyncio.gather(*map(self.drop_adapter, list(self._adapters)))
        for client in self._clients:
            await client.close()
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)

    async def _start(self, server: VllmServer) -> None:
        """Start our server and wait until it answers."""
        client, limit = self._clients[0], self._config.start_timeout_s
        server.start(self._launch)
        self._starts += 1
        deadline = time.perf_counter() + limit
        while not await client.healthy():
            reason = server.why_ended()
            if reason is not None:
                raise ModelFailed(reason)
            if time.perf_counter() > deadline:
                server.end()
                raise ModelFailed(f"the vLLM server was not ready within {limit:g} s (log: {server.log})")
            await asyncio.sleep(0.1)
        try:
            await self._ask(client, CALL, begin_call(server.number))
            for name, folder in list(self._adapters.items()):
                if folder.is_dir():
                    await self._add(client, name, folder)
        except ModelFailed:
            await asyncio.to_thread(server.end)
            raise
        self._ready = server.number

    async def _ask(
        self, client: VllmClient, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Ask a server; one of ours that has ended meanwhile is not asked again, nor its successor."""
        return await client.ask("POST", path, body, why_gone=self._why_gone())

    async def _add(self, client: VllmClient, name: str, folder: Path) -> None:
        await client.add_adapter(name, folder, why_gone=self._why_gone())

    def _why_gone(self) -> Callable[[], str | None]:
        """What tells why the server of ours that runs now has ended."""
        return partial(self._server.why_ended, self._server.number) if self._server else lambda: None

    async def _exchange(self, client: VllmClient, folder: Path) -> None:
        """Load weights between pause and resume. A server of ours that could not is ended, since nobody knows
        what it holds; it starts again with the old ones."""
        try:
            await self._ask(client, PAUSE)
            try:
                await self._ask(client, CALL, load_call(str(folder.absolute())))
                await self._ask(client, RESET)
            finally:
                await self._ask(client, RESUME)
        except ModelFailed as failure:
            hint = "" if self._server else f"; is it started as {_file()} says?"
            if self._server is not None:
                await asyncio.to_thread(self._server.end)
            raise ModelFailed(f"cannot give vLLM the weights in {folder}: {failure}{hint}") from failure


def _file() -> str:
    return Launch.__module__.replace(".", "/") + ".py"
