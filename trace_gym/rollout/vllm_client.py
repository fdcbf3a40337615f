"""A vLLM server as it is asked over HTTP: retries, timeouts, and whether it is there and of a known version.

The sole importer of httpx in this room. Everything asked is idempotent: a completion is decided by its seed,
so asking again is safe. Leaves out processes, and which of several servers is asked.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from trace_gym.core.errors import ModelFailed, boundary
from trace_gym.rollout.vllm_dialect import (
    ADD_ADAPTER,
    DROP_ADAPTER,
    HAS_ADAPTER,
    HEALTH,
    MODELS,
    VERSION,
    adapter_call,
    why_no_adapters,
    why_unsupported,
)

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which it is worth asking again."""
LONGEST_WAIT_S = 20.0


class ServerLost(ModelFailed):
    """A server did not answer, however often it was asked."""


class VllmClient:
    """One server, at `url` or behind a Unix `socket`. Lifecycle: used on one event loop, closed there."""

    def __init__(self, url: str, *, timeout_s: float, retries: int, socket: Path | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._retries = retries
        self._dice = random.Random()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
        self._http = httpx.AsyncClient(
            base_url=self.url,
            transport=httpx.AsyncHTTPTransport(uds=str(socket), limits=limits) if socket else None,
            limits=limits,
            timeout=httpx.Timeout(timeout_s, connect=10.0, pool=None),
            trust_env=socket is None,
        )

    async def healthy(self) -> bool:
        """Does it answer, and is it well?"""
        try:
            return (await self._http.get(HEALTH, timeout=10.0)).status_code == 200
        except httpx.TransportError:
            return False

    async def describe(self) -> tuple[str, int]:
        """The name of the model it serves and the size of its context. Raises ModelFailed, also for a server
        that is no vLLM of a supported version."""
        what = f"{self.url} is no vLLM server as this version of trace-gym knows it"
        with boundary(ModelFailed, KeyError, IndexError, TypeError, ValueError, what=what):
            reason = why_unsupported(str((await self.ask("GET", VERSION))["version"]))
            if reason is not None:
                raise ModelFailed(f"{self.url}: {reason}")
            served = (await self.ask("GET", MODELS))["data"][0]
            return str(served["id"]), int(served["max_model_len"])

    async def demand_adapters(self) -> None:
        """Raises ModelFailed unless it can load adapters: one that does not exist tells."""
        try:
            await self.add_adapter("none", Path("/none"))
        except ServerLost:
            raise
        except ModelFailed as refusal:
            if reason := why_no_adapters(str(refusal)):
                raise ModelFailed(f"the vLLM server at {self.url} takes no adapters: {reason}") from refusal

    async def add_adapter(
        self, name: str, folder: Path, *, why_gone: Callable[[], str | None] = lambda: None
    ) -> None:
        """Let requests ask for the adapter in `folder` by `name`, which no other has. Raises as `ask`."""
        body, passing = adapter_call(name, str(folder.absolute())), PASSING - {500}
        try:
            await self.ask("POST", ADD_ADAPTER, body, why_gone=why_gone, passing=passing)
        except ModelFailed as refusal:
            if HAS_ADAPTER not in str(refusal):
                raise

    async def drop_adapter(self, name: str, *, why_gone: Callable[[], str | None] = lambda: None) -> None:
        """Forget an adapter, once what is in flight has ended. Raises as `ask`."""
        await self.ask("POST", DROP_ADAPTER, adapter_call(name), why_gone=why_gone)

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        why_gone: Callable[[], str | None] = lambda: None,
        passing: frozenset[int] = PASSING,
    ) -> dict[str, Any]:
        """What the server answers. What fails in passing is asked again, after a random part of 0.5, 1, 2,
        ... seconds, unless `why_gone` says why that is useless. Raises ServerLost, ModelFailed (it refuses).
        """
        reason = ""
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(self._dice.uniform(0, min(LONGEST_WAIT_S, 0.25 * 2**attempt)))
            if gone := why_gone():
                raise ServerLost(gone)
            try:
                answer = await self._http.request(method, path, json=body)
            except httpx.TransportError as error:
                reason = f"{type(error).__name__} {error}".strip()
                continue
            if answer.status_code == 200:
                return dict(answer.json()) if answer.content.startswith(b"{") else {}
            reason = f"HTTP {answer.status_code}: {answer.text[:300]}"
            if answer.status_code not in passing:
                raise ModelFailed(f"the vLLM server at {self.url} refused {path}: {reason}")
        tried = f"{self._retries + 1} times"
        raise ServerLost(
            why_gone() or f"the vLLM server at {self.url} was asked {tried} in vain, at last: {reason}"
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()
