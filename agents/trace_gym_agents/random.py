"""The agent that acts at random: what luck alone reaches."""

from __future__ import annotations

from trace_gym.core.agent import Move, View
from trace_gym.environment.spaces import ActionSpace


class RandomAgent:
    """Valid calls of the tools usable now, arguments drawn from their schemas; one turn in ten is a message.
    Decided by the view's seed."""

    trainable = False
    wants_oracle = False

    def __init__(self) -> None:
        self._space: ActionSpace | None = None

    async def act(self, view: View) -> Move:
        """A random action."""
        if self._space is None or self._space.tools != view.tools:
            self._space = ActionSpace(view.tools)
        self._space.seed(view.seed % 2**31)
        return Move(self._space.sample())
