"""The reference solution as an agent: an upper bound, and the test that a task can be solved."""

from __future__ import annotations

from trace_gym.core.action import Action
from trace_gym.core.agent import Move, View
from trace_gym.core.episode import Actor


class OracleAgent:
    """Acts as the environment's oracle says. Where it has no advice, an empty message is sent: it does
    nothing, and the episode runs into its limits instead of being mistaken for solved."""

    trainable = False
    wants_oracle = True

    async def act(self, view: View) -> Move:
        """The oracle's next action."""
        advised = view.oracle() if view.oracle is not None else None
        return Move(advised if advised is not None else Action(message=""), actor=Actor.ORACLE)
