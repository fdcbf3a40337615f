"""An agent behind any OpenAI-compatible chat endpoint, for evaluation: tools, limits, retries, cost.

    trace-gym eval bfcl --agent 'chat_api?model=qwen3-8b&base_url=http://localhost:8000/v1'

Its moves carry no sampled tokens, so it cannot be trained. Leaves out streaming and the endpoint's own tools.
Needs the extra `chat`.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from trace_gym.core.agent import Move, View
from trace_gym.core.errors import BadConfig, ContextExceeded, ModelFailed, boundary
from trace_gym.interop.chat_endpoint import ODD, ChatEndpoint, Reply, read_price
from trace_gym_agents.chat_messages import messages_of, move_of


class ChatApiAgent:
    """Asks `model` at a chat endpoint, which is found, asked and asked again as `ChatEndpoint` says.

    `prices` is a TOML file as `read_price` takes; without it money is counted as 0. `limit` is the name that
    the endpoint gives the limit of sampled tokens.
    """

    trainable = False
    wants_oracle = False

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        key: str = "OPENAI_API_KEY",
        temperature: float | None = None,
        timeout_s: float = 120.0,
        retries: int = 6,
        prices: str | None = None,
        limit: str = "max_tokens",
        system: str | None = None,
    ) -> None:
        """Raises BadConfig: a price table that cannot be read or lacks the model."""
        self._endpoint = ChatEndpoint(base_url, key=key, timeout_s=timeout_s, retries=retries)
        self._model = model
        self._temperature = temperature
        self._price = read_price(Path(prices), model) if prices else None
        self._limit = limit
        self._system = system

    async def act(self, view: View) -> Move:
        """One completion. Raises ModelFailed, ContextExceeded, BadConfig (an endpoint that refuses us)."""
        request: dict[str, Any] = {
            "model": self._model,
            "messages": messages_of(view, system=self._system),
            self._limit: view.max_tokens,
            "seed": view.seed % 2**31,
        }
        if view.tools:
            request["tools"] = [spec.openai() for spec in view.tools]
        if self._temperature is not None:
            request["temperature"] = self._temperature
        reply = await self._endpoint.ask(request, random.Random(view.seed))
        if not reply.ok:
            raise self._refused(reply)
        what = f"{self._endpoint.url} answered oddly"
        with boundary(ModelFailed, *ODD, what=what):
            cost = self._endpoint.cost(request, reply, self._price)
            return move_of(reply.body["choices"][0]["message"], cost)

    def _refused(self, reply: Reply) -> ContextExceeded | BadConfig:
        if reply.too_long:
            return ContextExceeded(f"{self._model}: {reply.text[:300]}")
        return BadConfig(
            f"the endpoint does not take the request (status {reply.status}): {reply.text[:300]}"
        )
