"""The agent that training uses: a renderer spells what is seen as tokens, a policy samples what is done.

The context only ever grows by exact deltas: nothing said before is rendered, or tokenised, a second time.
Leaves out how turns are spelled, which is the renderer's matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trace_gym.core.action import Action
from trace_gym.core.agent import Move, Renderer, View
from trace_gym.core.budget import Cost
from trace_gym.core.episode import Actor
from trace_gym.core.errors import ContextExceeded
from trace_gym.core.policy import Completion, Finish, Policy, SampleRequest
from trace_gym.core.tokens import FloatArray, IntArray, Tokenizer, ids


class ModelAgent:
    """Implements core's Agent. A turn samples at most `max_tokens`, what the view allows and what the context
    has room for, whichever is least; `temperature` and `top_p` shape the draw, which the view's seed decides.
    """

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
        if temperature < 0.0 or not 0.0 < top_p <= 1.0:
            given = f"{temperature} and {top_p}"
            raise ValueError(f"temperature must be at least 0 and top_p lie in (0, 1], got {given}")
        self._policy = policy
        self.renderer = renderer
        self.tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._top_p = top_p

    async def act(self, view: View) -> Move:
        """Sample a turn. Raises ContextExceeded where the prompt leaves no room, ModelFailed, and ValueError
        for a path with turns that have no tokens."""
        delta = next_context(self.renderer, view)
        prompt = ids(np.concatenate([path_ids(view), delta]))
        room = self._policy.context_size - len(prompt)
        if room < 1:
            size = f"{len(prompt)} tokens in a context of {self._policy.context_size}"
            raise ContextExceeded(f"the prompt after {len(view.turns) - 1} turns leaves no room: {size}")
        completion = await self._policy.sample(
            SampleRequest(
                prompt,
                max_tokens=min(self._max_tokens, view.max_tokens, room),
                seed=view.seed,
                stop_ids=self.renderer.stop_ids,
                temperature=self._temperature,
                top_p=self._top_p,
                cached=seen_tokens(view, self._policy.version),
            )
        )
        text = self._text(completion.token_ids)
        return Move(
            self._action(text, completion, view),
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

    def prompt(self, view: View) -> IntArray:
        """All tokens before the next action."""
        return ids(np.concatenate([path_ids(view), next_context(self.renderer, view)]))

    async def read(self, prompts: Sequence[IntArray]) -> list[FloatArray | None]:
        """The policy's hidden states (D,) where the next action would begin. Raises ContextExceeded."""
        return await self._policy.encode(prompts)

    def _text(self, token_ids: IntArray) -> str:
        """What was said, without the tokens that end turns."""
        return self.tokenizer.decode([t for t in token_ids.tolist() if t not in self.renderer.stop_ids])

    def _action(self, text: str, completion: Completion, view: View) -> Action:
        """What the text spells; where it spells nothing because it was cut, the reason says so."""
        action = self.renderer.parse(text, view.tools)
        if action.error is None or completion.finish is not Finish.LENGTH:
            return action
        cut = f"the turn was cut after {len(completion.token_ids)} tokens"
        return replace(action, error=f"{action.error} ({cut})")


def path_ids(view: View) -> IntArray:
    """The tokens of the path so far, exactly as they were. Raises ValueError for a turn without any."""
    parts: list[IntArray] = [ids()]
    for number, turn in enumerate(view.turns[1:], start=1):
        if not len(turn.action_ids):
            raise ValueError(f"turn {number} ({turn.actor}) has no tokens, so no model can go on from it")
        parts += [turn.context_ids, turn.action_ids]
    return ids(np.concatenate(parts))


def seen_tokens(view: View, version: int) -> int:
    """How many tokens at the beginning of the path a policy of this version has computed before: those of the
    turns that it sampled itself, up to the first that it did not."""
    seen = 0
    for turn in view.turns[1:]:
        if turn.policy_version != version:
            break
        seen += len(turn.context_ids) + len(turn.action_ids)
    return seen


def next_context(renderer: Renderer, view: View) -> IntArray:
    """What is to be appended before the next action: the task prompt, or the last turn's rendering with the
    tools that are new or have changed since."""
    if len(view.turns) == 1:
        return renderer.open(view.turns[0].observation, view.tools, suite=view.suite)
    known = {spec.name for spec in view.tools_before[-1]}
    return renderer.follow(view.turns[-1], [spec for spec in view.tools if spec.name not in known])
