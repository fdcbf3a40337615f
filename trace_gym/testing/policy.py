"""A policy without weights: a rule says which completions a prompt may have, and how likely each is.

Its log-probabilities are exact: those of a completion's tokens add up to the logarithm of the completion's
share. Leaves out learning: loading a checkpoint changes the version and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from trace_gym.core.errors import ContextExceeded, ModelFailed
from trace_gym.core.policy import Checkpoint, Completion, Finish, SampleRequest
from trace_gym.core.tokens import FloatArray, IntArray, Tokenizer, floats, ids
from trace_gym.testing.toy import ToyTokenizer

Rule: TypeAlias = Callable[[str], Mapping[str, float]]
"""The prompt's text -> completions and their weights (positive, any sum)."""


class ScriptedPolicy:
    """Implements core's Policy. The request's seed alone decides the draw.

    A completion ends with the request's first stop token; a request without any gets its text padded with end
    tokens up to `max_tokens`. `yields` says how often a request lets other coroutines run before it answers,
    which makes any interleaving reproducible. `requests` holds what was asked, in order.
    """

    def __init__(
        self,
        rule: Rule,
        *,
        tokenizer: Tokenizer | None = None,
        version: int = 0,
        context_size: int = 4096,
        hidden_size: int = 0,
        yields: Callable[[SampleRequest], int] = lambda request: 1,
    ) -> None:
        self.requests: list[SampleRequest] = []
        self._rule = rule
        self._tokenizer: Tokenizer = tokenizer or ToyTokenizer()
        self._version = version
        self._context_size = context_size
        self._hidden_size = hidden_size
        self._yields = yields
        self._closed = False

    @classmethod
    def saying(cls, *texts: str) -> ScriptedPolicy:
        """A policy that says one of `texts`, all equally likely, whatever it is asked."""
        if not texts:
            raise ValueError("a scripted policy needs at least one text to say")
        return cls(lambda prompt: dict.fromkeys(texts, 1.0))

    @property
    def version(self) -> int:
        """That of the checkpoint loaded last."""
        return self._version

    @property
    def context_size(self) -> int:
        """Prompt and completion together."""
        return self._context_size

    async def sample(self, request: SampleRequest) -> Completion:
        """Draw one of the rule's completions. Raises ContextExceeded, ModelFailed."""
        if self._closed:
            raise ModelFailed("the policy was closed")
        room = self._context_size - len(request.prompt_ids)
        if room < 1:
            raise ContextExceeded(
                f"a prompt of {len(request.prompt_ids)} tokens leaves no room in {self._context_size}"
            )
        self.requests.append(request)
        for _ in range(self._yields(request)):
            await asyncio.sleep(0)
        tokens, logprobs, entropy = self._draw(request, min(room, request.max_tokens))
        stopped = tokens[-1] in request.stop_ids
        return Completion(
            token_ids=ids(tokens),
            logprobs=floats(logprobs),
            entropy=floats(entropy),
            version=self._version,
            finish=Finish.STOP if stopped else Finish.LENGTH,
            fresh=len(request.prompt_ids) - request.cached,
            cached=request.cached,
            hidden=self._hidden(request.prompt_ids),
        )

    async def encode(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        """A vector that depends on the prompt's tokens alone; None where `hidden_size` is 0."""
        return [self._hidden(prompt) for prompt in prompts]

    async def load(self, checkpoint: Checkpoint) -> None:
        """Take the checkpoint's version."""
        self._version = checkpoint.version

    def close(self) -> None:
        """Answer no more. Idempotent."""
        self._closed = True

    def _draw(self, request: SampleRequest, limit: int) -> tuple[list[int], list[float], list[float]]:
        end = request.stop_ids[0] if request.stop_ids else self._tokenizer.eos_id
        weights = self._rule(self._tokenizer.decode(request.prompt_ids.tolist()))
        open_ends = {(*self._tokenizer.encode(text), end): weight for text, weight in weights.items()}
        rng = random.Random(request.seed)
        tokens: list[int] = []
        logprobs, entropy = [], []
        while len(tokens) < limit and not (tokens and tokens[-1] in request.stop_ids):
            shares = _next_shares(open_ends, len(tokens)) or {end: 1.0}
            shares = nucleus(sharpened(shares, request.temperature), request.top_p)
            token = rng.choices(list(shares), list(shares.values()))[0]
            open_ends = {text: w for text, w in open_ends.items() if text[len(tokens) :][:1] == (token,)}
            tokens.append(token)
            logprobs.append(math.log(shares[token]))
            entropy.append(-sum(share * math.log(share) for share in shares.values()))
        return tokens, logprobs, entropy

    def _hidden(self, prompt: IntArray) -> FloatArray | None:
        if not self._hidden_size:
            return None
        digest = hashlib.blake2b(np.asarray(prompt, dtype="<i4").tobytes(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
        return floats(rng.standard_normal(self._hidden_size).tolist())


def _next_shares(open_ends: Mapping[tuple[int, ...], float], position: int) -> dict[int, float]:
    """Token -> its share of the weight at `position`, likeliest first; empty where nothing is left to say."""
    sums: dict[int, float] = {}
    for text, weight in open_ends.items():
        if len(text) > position and weight > 0:
            sums[text[position]] = sums.get(text[position], 0.0) + weight
    total = sum(sums.values())
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return {token: weight / total for token, weight in ordered}


def sharpened(shares: Mapping[int, float], temperature: float) -> dict[int, float]:
    """Shares at a temperature: p^(1/T), normalised; 0 leaves only the first, the likeliest."""
    if temperature == 0:
        return {next(iter(shares)): 1.0}
    top = max(shares.values())
    powers = {token: (share / top) ** (1.0 / temperature) for token, share in shares.items()}
    total = sum(powers.values())
    return {token: power / total for token, power in powers.items() if power > 0}


def nucleus(shares: Mapping[int, float], top_p: float) -> dict[int, float]:
    """The likeliest tokens that together hold at least `top_p`, normalised."""
    kept: dict[int, float] = {}
    for token, share in shares.items():
        kept[token] = share
        if sum(kept.values()) >= top_p:
            break
    total = sum(kept.values())
    return {token: share / total for token, share in kept.items()}
