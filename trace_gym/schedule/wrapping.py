"""What a scheduler around another leaves to it. Leaves out what it does itself."""

from __future__ import annotations

from trace_gym.core.scheduler import Scheduler


class Wrapping:
    """Part of a Scheduler: which candidates and anchors `inner` wants."""

    def __init__(self, inner: Scheduler) -> None:
        self._inner = inner

    @property
    def pool_size(self) -> int | None:
        """As the inner one has it."""
        return self._inner.pool_size

    @property
    def forks(self) -> bool:
        """As the inner one has it."""
        return self._inner.forks
