"""A process that the agent forks for one request, and the pipes to it. Runs with `channel_agent.py`.

Leaves out what that process does (`channel_child.py`), and programs that need no fork (`channel_spawn.py`).
"""

from __future__ import annotations

import os

from trace_gym.environment.sandbox.channel_child import serve_once
from trace_gym.environment.sandbox.channel_spawn import Spawner

TYPE_CHECKING = False  # as in typing, which takes long to load
if TYPE_CHECKING:
    from typing import Any


class Streams:
    """Pipes for the standard streams of one request: `theirs` are the ends of the process that carries it
    out, the others are the agent's."""

    def __init__(self) -> None:
        stdin, stdout, stderr = os.pipe(), os.pipe(), os.pipe()
        self.theirs = stdin[0], stdout[1], stderr[1]
        self.stdin, self.stdout, self.stderr = stdin[1], stdout[0], stderr[0]

    def leave(self) -> None:
        """Close the ends of the process, which has them."""
        for end in self.theirs:
            os.close(end)


class Fork:
    """A process that waits for a request to carry it out."""

    def __init__(self, setup: dict[str, Any], spawner: Spawner, streams: Streams) -> None:
        order = os.pipe()
        spawner.victims(True)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(order[1])
            serve_once(order[0], setup, streams.theirs)
        spawner.victims(False)
        os.close(order[0])
        self._order = order[1]

    def begin(self, request: bytes) -> bool:
        """Give it its request; False: it has died while it waited."""
        try:
            left = memoryview(request)
            while left:
                left = left[os.write(self._order, left) :]
        except BrokenPipeError:
            return False
        finally:
            os.close(self._order)
        return True
