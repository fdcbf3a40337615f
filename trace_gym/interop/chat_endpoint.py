"""An OpenAI-compatible chat endpoint as seen from here: a request at a time, with retries, prices and costs.

Leaves out what is said, and streaming: an answer comes whole. Needs the extra `chat`; the sole importer of
httpx.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import httpx

from trace_gym.core.budget import Cost
from trace_gym.core.errors import BadConfig, ModelFailed, boundary

log = getLogger(__name__)

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
REFUSED = frozenset({401, 403, 404})
LONGEST_WAIT_S = 60.0
BYTES_PER_TOKEN = 4
"""What a token is taken for where an endpoint counts none: about what English text comes to."""
ODD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What reading an answer that is no completion comes to."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens: context `input`, context found in a cache, sampled `output`."""

    input: float
    output: float
    cached: float | None = None

    def usd(self, *, fresh: int, cached: int, decoded: int) -> float:
        """What a completion cost."""
        reused = self.input if self.cached is None else self.cached
        return (fresh * self.input + cached * reused + decoded * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answered: its `body` where `status` is 200, else the reason it gave in `text`."""

    status: int
    body: Mapping[str, Any]
    text: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Is it a completion?"""
        return self.status == httpx.codes.OK

    @property
    def too_long(self) -> bool:
        """Does it say that the conversation exceeds the model's context?"""
        told = ("context_length", "maximum context", "context length")
        return not self.ok and any(words in self.text for words in told)


class ChatEndpoint:
    """The endpoint at `base_url` (default: OPENAI_BASE_URL, else OpenAI's) with the key in the environment
    variable that `key` names; a local server needs none.

    What fails in passing (connection, timeout, 429, 5xx) is tried again up to `retries` times, after the wait
    that the server asks for, else after a random part of 1, 2, 4, ... seconds.

    A connection is opened per request: next to a completion it costs nothing, and no loop owns the endpoint.
    What is dear, the certificates, is read once, where they are needed.
    """

    def __init__(self, base_url: str | None, *, key: str, timeout_s: float, retries: int) -> None:
        """Raises BadConfig: an address that is none."""
        if timeout_s <= 0 or retries < 0:
            raise ValueError(
                f"timeout_s must be positive and retries not negative, got {timeout_s}, {retries}"
            )
        self.url = (base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1").rstrip("/")
        if not self.url.lower().startswith(("http://", "https://")):
            raise BadConfig(f"an endpoint's address begins with http:// or https://, got {self.url!r}")
        self._key = key
        self._timeout_s = timeout_s
        self._retries = retries
        self._estimates = False
        self._certificates = httpx.create_ssl_context() if self.url.startswith("https:") else False

    async def ask(self, request: Mapping[str, Any], rng: random.Random) -> Reply:
        """One completion, or a refusal that asking again cannot mend. Raises ModelFailed; BadConfig where the
        endpoint refuses us and not the request (status 401, 403, 404)."""
        clock = asyncio.get_running_loop().time
        started, attempt = clock(), 0
        while True:
            wait: float | None = None
            try:
                async with httpx.AsyncClient(timeout=self._timeout_s, verify=self._certificates) as client:
                    response = await client.post(
                        f"{self.url}/chat/completions", json=request, headers=self._headers()
                    )
            except httpx.TransportError as error:
                reason = f"{type(error).__name__}: {error}"
            else:
                if response.status_code == httpx.codes.OK:
                    return Reply(200, self._decoded(response), "", clock() - started)
                if response.status_code not in PASSING:
                    return self._refusal(response, str(request.get("model")), clock() - started)
                reason = f"status {response.status_code}: {response.text[:300]}"
                wait = _asked_wait_s(response)
            if attempt == self._retries:
                raise ModelFailed(f"{self.url} gave no answer in {attempt + 1} attempts; last: {reason}")
            await asyncio.sleep(min(LONGEST_WAIT_S, rng.uniform(0, 2.0**attempt) if wait is None else wait))
            attempt += 1

    def cost(self, request: Mapping[str, Any], reply: Reply, price: Price | None) -> Cost:
        """What a completion cost by the `usage` that the endpoint reports; money is 0 without a price. What
        it does not report is estimated from the texts, and the log says so once.

        Raises one of `ODD` where the report is none.
        """
        usage = dict(reply.body.get("usage") or {})
        texts = {
            "prompt_tokens": request["messages"],
            "completion_tokens": reply.body["choices"][0]["message"],
        }
        for name in [name for name in texts if usage.get(name) is None]:
            usage[name] = -(-len(json.dumps(texts[name], ensure_ascii=False).encode()) // BYTES_PER_TOKEN)
            if not self._estimates:
                log.warning(
                    "%s reports no usage: costs are estimated, %d bytes a token", self.url, BYTES_PER_TOKEN
                )
            self._estimates = True
        context, decoded = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
        if not 0 <= cached <= context or decoded < 0:
            raise ValueError(f"a usage of {context} tokens, {cached} of them cached, and {decoded}")
        fresh = context - cached
        usd = price.usd(fresh=fresh, cached=cached, decoded=decoded) if price else 0.0
        return Cost(fresh=fresh, cached=cached, decoded=decoded, model_seconds=reply.seconds, usd=usd)

    def _decoded(self, response: httpx.Response) -> dict[str, Any]:
        with boundary(ModelFailed, ValueError, what=f"{self.url} did not answer in JSON"):
            answer = response.json()
        if not isinstance(answer, dict):
            raise ModelFailed(f"{self.url} answered with {type(answer).__name__}, expected an object")
        return answer

    def _refusal(self, response: httpx.Response, model: str, seconds: float) -> Reply:
        status, text = response.status_code, response.text
        reply = Reply(status, {}, text, seconds)
        if status in REFUSED and not reply.too_long:
            where = f"the key in ${self._key}, the model's name {model!r} and {self.url}"
            raise BadConfig(f"the endpoint refuses us (status {status}): check {where}: {text[:300]}")
        return reply

    def _headers(self) -> dict[str, str]:
        secret = os.environ.get(self._key)
        return {"Authorization": f"Bearer {secret}"} if secret else {}


def read_price(file: Path, model: str) -> Price:
    """A model's price in a TOML table per model: `["gpt-x"]`, `input`, `output` and maybe `cached` in dollars
    per million tokens. Raises BadConfig: a file that cannot be read or lacks the model."""
    with boundary(BadConfig, OSError, ValueError, what=f"price table {file} cannot be read"):
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    if model not in table:
        raise BadConfig(f"price table {file} has no model {model!r}; it has {', '.join(table) or 'none'}")
    with boundary(BadConfig, TypeError, ValueError, what=f"price table {file}, model {model!r}"):
        return Price(**{name: float(value) for name, value in table[model].items()})


def _asked_wait_s(response: httpx.Response) -> float | None:
    """The seconds that the server asks to wait, where it says so in seconds."""
    try:
        return max(0.0, float(response.headers.get("retry-after", "")))
    except ValueError:
        return None
