"""An agent that makes demonstrations: the oracle's actions, some random ones, all in the model's tokens.

Leaves out learning from them, which imitates the oracle's turns only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.agent import Move, Renderer, View
from trace_gym.core.episode import Actor
from trace_gym.core.tokens import IntArray, Tokenizer, floats, ids
from trace_gym.environment.spaces import ActionSpace
from trace_gym.rollout.model_agent import ModelAgent, next_context


@runtime_checkable
class Writer(Protocol):
    """A renderer whose best spelling of an action needs the tools' schemas, or tokens that text cannot give.

    Optional beside core's Renderer: without it an action is written as the encoding of `spell`'s text.
    """

    def write(self, action: Action, tools: Sequence[ToolSpec]) -> IntArray:
        """The tokens that a model would say for `action`, the end of the turn included."""
        ...


class Demonstrator:
    """Implements core's Agent. With probability `noise` a turn is a random valid call (`Actor.AGENT`), else
    the oracle's action (`Actor.ORACLE`), so that recovering from mistakes is shown too. Where the oracle has
    nothing to say, the turn is random. `seed` and the view's seed decide; log-probabilities and entropies
    are zero, for nothing was sampled from a model.
    """

    trainable = False
    wants_oracle = True

    def __init__(
        self, renderer: Renderer, tokenizer: Tokenizer, *, noise: float = 0.25, seed: int = 0
    ) -> None:
        if not 0.0 <= noise <= 1.0:
            raise ValueError(f"noise must lie in [0, 1], got {noise}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self._renderer = renderer
        self._tokenizer = tokenizer
        self._noise = noise
        self._seed = seed
        self._space = _calls(())

    @classmethod
    def beside(cls, agent: ModelAgent) -> Demonstrator:
        """One that never errs and speaks as `agent` does, so that a model can go on from its turns."""
        return cls(agent.renderer, agent.tokenizer, noise=0.0)

    async def act(self, view: View) -> Move:
        """The next action and its tokens. Raises ValueError for a view that carries no oracle, and for an
        action that cannot be spelled."""
        if view.oracle is None:
            raise ValueError("a demonstrator was shown a view without an oracle")
        rng = np.random.default_rng([self._seed, view.seed])
        noisy = rng.random() < self._noise
        advised = view.oracle()
        if noisy or advised is None:
            action, actor = self._random(view, int(rng.integers(2**63))), Actor.AGENT
        else:
            action, actor = advised, Actor.ORACLE
        spelled = self._spelled(action, view)
        said = spelled[:-1] if spelled[-1] in self._renderer.stop_ids else spelled
        zeros = floats([0.0] * len(spelled))
        return Move(
            action,
            actor=actor,
            text=self._tokenizer.decode(said.tolist()),
            context_ids=next_context(self._renderer, view),
            action_ids=spelled,
            logprobs=zeros,
            entropy=zeros,
        )

    def _spelled(self, action: Action, view: View) -> IntArray:
        if isinstance(self._renderer, Writer):
            return self._renderer.write(action, view.tools)
        return ids([*self._tokenizer.encode(self._renderer.spell(action)), self._renderer.stop_ids[0]])

    def _random(self, view: View, seed: int) -> Action:
        """A valid call of one of the tools usable now, a message where there is none."""
        if self._space.tools != view.tools:
            self._space = _calls(view.tools)
        self._space.seed(seed)
        return self._space.sample()


def _calls(tools: tuple[ToolSpec, ...]) -> ActionSpace:
    return ActionSpace(tools, messages=0.0, several=0.0)
