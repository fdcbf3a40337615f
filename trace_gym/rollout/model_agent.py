"""The agent that training uses: a renderer spells what is seen as tokens, a policy samples what is done.

The context only ever grows by exact deltas: nothing said before is rendered, or tokenised, a second time.
Leaves out how turns are spelled, which is the renderer's matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trace_gym.core.agent import Move, Renderer, View
from trace_gym.core.budget import Cost
from trace_gym.core.episode import Actor
from trace_gym.core.errors import ContextExceeded
from trace_gym.core.policy import Policy, SampleRequest
from trace_gym.core.tokens import FloatArray, IntArray, Tokenizer, ids


class ModelAgent:
    """Implements core's Agent. `max_tokens` bounds one turn; `temperature` and `top_p` shape the draw."""

    trainable = True
    wants_oracle = False

    def __init__(
        self,
        policy: Policy,
        renderer: Renderer,
        *,
        tokenizer: Tokenizer,
        max_tokens: int = 256,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {max_tokens}")
        self._policy = policy
        self._renderer = renderer
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._top_p = top_p

    async def act(self, view: View) -> Move:
        """Sample a turn. Raises ContextExceeded where the prompt leaves no room, ModelFailed."""
        before = path_ids(view)
        delta = next_context(self._renderer, view)
        prompt = ids(np.concatenate([before, delta]))
        room = self._policy.context_size - len(prompt)
        if room < 1:
            size = f"{len(prompt)} tokens in a context of {self._policy.context_size}"
            raise ContextExceeded(f"the prompt after {len(view.turns) - 1} turns leaves no room: {size}")
        completion = await self._policy.sample(
            SampleRequest(
                prompt,
                max_tokens=min(self._max_tokens, view.max_tokens, room),
                seed=view.seed,
                stop_ids=self._renderer.stop_ids,
                temperature=self._temperature,
                top_p=self._top_p,
                cached=len(before),
            )
        )
        text = self._text(completion.token_ids)
        return Move(
            self._renderer.parse(text, view.tools),
            actor=Actor.POLICY,
            text=text,
            context_ids=delta,
            action_ids=completion.token_ids,
            logprobs=completion.logprobs,
            entropy=completion.entropy,
            hidden=completion.hidden,
            policy_version=completion.version,
            cost=Cost(
                fresh=completion.fresh,
                cached=completion.cached,
                decoded=len(completion.token_ids),
                model_seconds=completion.seconds,
                usd=completion.usd,
            ),
        )

    async def encode(self, views: Sequence[View]) -> list[FloatArray | None]:
        """The policy's hidden states (D,) where each view's next action would begin. Raises
        ContextExceeded."""
        prompts = [ids(np.concatenate([path_ids(v), next_context(self._renderer, v)])) for v in views]
        return await self._policy.encode(prompts)

    def _text(self, token_ids: IntArray) -> str:
        """What was said, without the token that ended it."""
        said = token_ids.tolist()
        if said and said[-1] in self._renderer.stop_ids:
            said.pop()
        return self._tokenizer.decode(said)


def path_ids(view: View) -> IntArray:
    """The tokens of the path so far, exactly as they were."""
    parts = [part for turn in view.turns[1:] for part in (turn.context_ids, turn.action_ids)]
    return ids(np.concatenate(parts)) if parts else ids()


def next_context(renderer: Renderer, view: View) -> IntArray:
    """What is to be appended before the next action: the task prompt, or the last turn's rendering."""
    if len(view.turns) == 1:
        return renderer.open(view.turns[0].observation, view.tools, suite=view.suite)
    known = {spec.name for spec in view.tools_before[-1]}
    return renderer.follow(view.turns[-1], [spec for spec in view.tools if spec.name not in known])
