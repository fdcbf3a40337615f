"""The reference solution as an agent: an upper bound, and the test that a task can be solved."""

from __future__ import annotations

from trace_gym.core.action import Action
from trace_gym.core.agent import Move, View
from trace_gym.core.episode import Actor


class OracleAgent:
    """Acts as the environment's oracle says.

    Where the oracle has nothing to say, it sends an empty message: that is an action like any other, so the
    environment's checks decide the episode, while an error would blame the agent for a task without a
    reference solution.
    """

    trainable = False
    wants_oracle = True

    async def act(self, view: View) -> Move:
        """The oracle's next action. Raises ValueError for a view that carries no oracle."""
        if view.oracle is None:
            raise ValueError("the oracle agent was shown a view without an oracle")
        advised = view.oracle()
        return Move(advised if advised is not None else Action(message=""), actor=Actor.ORACLE)
