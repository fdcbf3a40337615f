"""An agent that makes demonstrations: the oracle's actions, some random ones, all spelled in the model's tokens.

Leaves out learning from them, which imitates the oracle's turns only.
"""

from __future__ import annotations

import numpy as np

from trace_gym.core.action import Action
from trace_gym.core.agent import Move, Renderer, View
from trace_gym.core.episode import Actor
from trace_gym.core.tokens import Tokenizer, floats, ids
from trace_gym.environment.spaces import ActionSpace
from trace_gym.rollout.model_agent import next_context


class Demonstrator:
    """Implements core's Agent. With probability `noise` a turn is a random valid action (`Actor.AGENT`), else
    the oracle's (`Actor.ORACLE`), so that recovering from mistakes is shown too. The draw depends on `seed`
    and the view's seed. Log-probabilities are zero: nothing was sampled from a model."""

    trainable = False
    wants_oracle = True

    def __init__(self, renderer: Renderer, tokenizer: Tokenizer, *, noise: float = 0.25, seed: int = 0) -> None:
        if not 0.0 <= noise <= 1.0:
            raise ValueError(f"noise must lie in [0, 1], got {noise}")
        self._renderer = renderer
        self._tokenizer = tokenizer
        self._noise = noise
        self._seed = seed
        self._space: ActionSpace | None = None

    async def act(self, view: View) -> Move:
        """The next action and its spelling. Without an oracle's advice the action is random."""
        rng = np.random.default_rng([self._seed, view.seed])
        advised = view.oracle() if view.oracle is not None else None
        if advised is None or rng.random() < self._noise:
            action, actor = self._random(view, int(rng.integers(2**31))), Actor.AGENT
        else:
            action, actor = advised, Actor.ORACLE
        text = self._renderer.spell(action)
        spelled = ids([*self._tokenizer.encode(text), self._renderer.stop_ids[0]])
        return Move(
            action,
            actor=actor,
            text=text,
            context_ids=next_context(self._renderer, view),
            action_ids=spelled,
            logprobs=floats([0.0] * len(spelled)),
        )

    def _random(self, view: View, seed: int) -> Action:
        """A valid call of one of the tools usable now."""
        if self._space is None or self._space.tools != view.tools:
            self._space = ActionSpace(view.tools, messages=0.0, several=0.0)
        self._space.seed(seed)
        return self._space.sample()
