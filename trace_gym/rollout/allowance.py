"""What an episode may still take by its own limits. Leaves out the budget of the run."""

from __future__ import annotations

from trace_gym.core.budget import FREE
from trace_gym.core.tree import RolloutTree


def allowance(tree: RolloutTree, tip: int, turn_tokens: int) -> tuple[int, str]:
    """How many tokens the turn after `tip` may sample by the task's limits; else why there may be none."""
    limits = tree.task.limits
    if limits.max_tokens is None and limits.max_seconds is None and limits.max_usd is None:
        return turn_tokens, ""
    spent = sum((tree.turns[node].cost for node in tree.path(tip)), FREE)
    if limits.max_seconds is not None and spent.seconds >= limits.max_seconds:
        return 0, f"the episode took {spent.seconds:.1f} s, it may take {limits.max_seconds:g} s"
    if limits.max_usd is not None and spent.usd >= limits.max_usd:
        return 0, f"the episode cost {spent.usd:g} usd, it may cost {limits.max_usd:g} usd"
    if limits.max_tokens is not None and spent.decoded >= limits.max_tokens:
        return 0, f"the episode sampled {spent.decoded} tokens, it may sample {limits.max_tokens}"
    left = turn_tokens if limits.max_tokens is None else limits.max_tokens - spent.decoded
    return min(turn_tokens, left), ""
