"""The agent that does nothing: a lower bound, and the test that a task is not solved by itself."""

from __future__ import annotations

from trace_gym.core.action import Action
from trace_gym.core.agent import Move, View

SAYING = "I have nothing to do."


class NoopAgent:
    """Says the same every turn and calls no tool."""

    trainable = False
    wants_oracle = False

    async def act(self, view: View) -> Move:
        """Say that there is nothing to do."""
        return Move(Action(message=SAYING))
