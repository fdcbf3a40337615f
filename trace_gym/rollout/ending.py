"""How a rollout ends without another turn: its environment is over, or the scheduler wants no more of it.

Leaves out ends by a budget or a limit, which depend on the turn that would come.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from trace_gym.core.episode import Actor, FailureCause, StopReason, Turn
from trace_gym.core.scheduler import Cut
from trace_gym.core.tree import RolloutTree

Ending: TypeAlias = tuple[StopReason, FailureCause | None, str]
"""Why, what broke if something did, and a word for people."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What the scheduler has had stopped in this step: whole grants, and rollouts by (tree, rollout)."""

    grants: Collection[int]
    rollouts: Mapping[tuple[int, int], Cut]

    def ending(self, tree: RolloutTree, number: int) -> Ending | None:
        """How a rollout ends that may not go on."""
        if tree.rollouts[number].grant in self.grants:
            return StopReason.CANCELLED, None, "the scheduler took the grant back"
        cut = self.rollouts.get((tree.index, number))
        if cut is None:
            return None
        return StopReason.CUT, None, f"the scheduler gave it up, at a predicted success of {cut.worth:.2f}"


def over(turn: Turn) -> Ending | None:
    """How a rollout whose newest turn this is has ended, if the environment ended it."""
    if turn.terminated:
        return StopReason.TERMINATED, None, ""
    if turn.truncated:
        return StopReason.MAX_TURNS, None, ""
    if turn.actor is not Actor.TASK and not turn.digest:
        return StopReason.INVALID, FailureCause.ENVIRONMENT, "the environment broke in this turn"
    return None
