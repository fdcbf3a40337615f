"""The agent that acts at random: what luck alone reaches."""

from __future__ import annotations

from trace_gym.core.action import ToolSpec
from trace_gym.core.agent import Move, View
from trace_gym.environment.spaces import ActionSpace


class RandomAgent:
    """Valid calls of the tools usable now, arguments drawn from their schemas; a share `messages` of the
    turns are messages instead, a share `several` two calls at once.

    The view's seed alone decides an action. The space is kept from turn to turn while the tools stay the
    same: its draws depend on nothing that came before.
    """

    trainable = False
    wants_oracle = False

    def __init__(self, *, messages: float = 0.1, several: float = 0.05) -> None:
        if messages < 0.0 or several < 0.0 or messages + several > 1.0:
            raise ValueError(
                f"messages and several must be shares of one whole, got {messages} and {several}"
            )
        self._messages = messages
        self._several = several
        self._space = self._over(())

    async def act(self, view: View) -> Move:
        """A random action. Raises ValueError where a tool's schema is too narrow to draw from."""
        if self._space.tools != view.tools:
            self._space = self._over(view.tools)
        self._space.seed(view.seed)
        return Move(self._space.sample())

    def _over(self, tools: tuple[ToolSpec, ...]) -> ActionSpace:
        return ActionSpace(tools, messages=self._messages, several=self._several)
