"""An agent that follows a rule. Leaves out models and renderers: see `ScriptedPolicy` for those."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from trace_gym.core.action import Action
from trace_gym.core.agent import Move, View
from trace_gym.core.budget import Cost
from trace_gym.core.episode import Actor
from trace_gym.core.tokens import floats, ids
from trace_gym.testing.toy import ToyTokenizer

AgentRule: TypeAlias = Callable[[View], Action]
LN_2 = math.log(2.0)


class ScriptedAgent:
    """Implements core's Agent: `rule` names the action for a view, and may raise what agents raise.

    A `trainable` one spells observations and actions with a toy tokenizer and calls every sampled token a
    coin flip, so that its moves carry tokens as a model's would. `yields` says how often it lets other
    coroutines run before it answers. `views` holds what it was asked, in order.
    """

    def __init__(
        self,
        rule: AgentRule,
        *,
        trainable: bool = False,
        wants_oracle: bool = False,
        policy_version: int = 0,
        yields: Callable[[View], int] = lambda view: 1,
    ) -> None:
        self.views: list[View] = []
        self.policy_version = policy_version
        self._rule = rule
        self._trainable = trainable
        self._wants_oracle = wants_oracle
        self._yields = yields
        self._tokenizer = ToyTokenizer()

    @classmethod
    def playing(cls, actions: Sequence[Action]) -> ScriptedAgent:
        """An agent that plays `actions` in order, by the turn it stands at, and then repeats the last."""
        script = tuple(actions)
        if not script:
            raise ValueError("a scripted agent needs at least one action to play")
        return cls(lambda view: script[min(len(view.turns), len(script)) - 1])

    @property
    def trainable(self) -> bool:
        """Do its moves carry tokens?"""
        return self._trainable

    @property
    def wants_oracle(self) -> bool:
        """Must views carry the oracle?"""
        return self._wants_oracle

    async def act(self, view: View) -> Move:
        """What the rule says. Raises what the rule raises."""
        self.views.append(view)
        for _ in range(self._yields(view)):
            await asyncio.sleep(0)
        action = self._rule(view)
        if not self._trainable:
            return Move(action, Actor.AGENT)
        text = json.dumps(action.json())
        context = self._tokenizer.encode_ids(view.turns[-1].observation)
        sampled = ids([*self._tokenizer.encode(text), self._tokenizer.eos_id][: view.max_tokens])
        return Move(
            action=action,
            actor=Actor.POLICY,
            text=text,
            context_ids=context,
            action_ids=sampled,
            logprobs=floats([-LN_2] * len(sampled)),
            entropy=floats([LN_2] * len(sampled)),
            policy_version=self.policy_version,
            cost=Cost(fresh=len(context), decoded=len(sampled)),
        )
