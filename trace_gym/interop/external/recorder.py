"""The way to the real endpoint: every model call of an episode, what it cost, and what was said, kept.

Leaves out what is asked, and why.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trace_gym.core.budget import FREE, Cost
from trace_gym.core.errors import ModelFailed, boundary
from trace_gym.interop.chat_endpoint import ODD, ChatEndpoint, Price, Reply

LONGEST_ERROR = 2000


class Recorder:
    """Lifecycle: `ask` any number of times, then `taken` hands over what these calls came to. `calls` counts
    all, `answered` those that brought a completion."""

    def __init__(self, endpoint: ChatEndpoint, price: Price | None) -> None:
        self._endpoint = endpoint
        self._price = price
        self._cost: Cost = FREE
        self._made: list[dict[str, Any]] = []
        self._known: list[Any] = []
        self.calls = self.answered = 0

    async def ask(self, request: Mapping[str, Any], rng: random.Random) -> tuple[Reply, int]:
        """The endpoint's reply, and how many tokens were sampled for it. Raises ModelFailed, BadConfig."""
        self.calls += 1
        reply = await self._endpoint.ask(request, rng)
        cost = FREE
        if reply.ok:
            self.answered += 1
            with boundary(ModelFailed, *ODD, what=self._oddly):
                cost = replace(self._endpoint.cost(request, reply, self._price), model_seconds=0.0)
            self._cost += cost
        self._note(request, reply)
        return reply, cost.decoded

    def message(self, reply: Reply) -> dict[str, Any]:
        """The assistant's message of a completion. Raises ModelFailed where it is none."""
        with boundary(ModelFailed, *ODD, what=self._oddly):
            message = dict(reply.body["choices"][0]["message"])
            calls = message.get("tool_calls") or []
            if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
                raise TypeError("tool_calls must be a list of objects")
            return message

    def taken(self) -> tuple[Cost, str]:
        """The cost and the record, as JSON text, of the calls since it was last asked."""
        record = json.dumps({"calls": self._made}, ensure_ascii=False) if self._made else ""
        spent, self._cost, self._made = self._cost, FREE, []
        return spent, record

    @property
    def url(self) -> str:
        """Where it asks."""
        return self._endpoint.url

    @property
    def _oddly(self) -> str:
        return f"{self.url} answered oddly"

    def _note(self, request: Mapping[str, Any], reply: Reply) -> None:
        """Record a call: of its messages those that were not in the call before, after how many that were."""
        asked = list(request["messages"])
        pairs = enumerate(zip(self._known, asked, strict=False))
        kept = next((i for i, (a, b) in pairs if a != b), min(len(self._known), len(asked)))
        self._known = asked
        refusal = {"status": reply.status, "error": reply.text[:LONGEST_ERROR]}
        self._made.append(
            {
                "model": request.get("model"),
                "kept": kept,
                "asked": asked[kept:],
                "said": self.message(reply) if reply.ok else refusal,
                "usage": reply.body.get("usage"),
                "seconds": round(reply.seconds, 3),
            }
        )
