"""How a rollout ends without another turn: its environment is over, or the scheduler wants no more of it.

Leaves out ends by a budget or a limit, which depend on the turn that would come.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

from trace_gym.core.episode import Actor, FailureCause, StopReason, Turn
from trace_gym.core.tree import RolloutTree

Ending: TypeAlias = tuple[StopReason, FailureCause | None, str]
"""Why, what broke if something did, and a word for people."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What the scheduler has had stopped in this step: whole grants, and rollouts by (tree, rollout)."""

    grants: Collection[int]
    rollouts: Collection[tuple[int, int]]

    def ending(self, tree: RolloutTree, number: int) -> Ending | None:
        """How a rollout ends that may not go on."""
        if tree.rollouts[number].grant in self.grants:
            return StopReason.CANCELLED, None, "the scheduler took the grant back"
        if (tree.index, number) in self.rollouts:
            return StopReason.CUT, None, "the scheduler gave it up"
        return None


def over(turn: Turn) -> Ending | None:
    """How a rollout whose newest turn this is has ended, if the environment ended it."""
    if turn.terminated:
        return StopReason.TERMINATED, None, ""
    if turn.truncated:
        return StopReason.MAX_TURNS, None, ""
    if turn.actor is not Actor.TASK and not turn.digest:
        return StopReason.INVALID, FailureCause.ENVIRONMENT, "the environment broke in this turn"
    return None
