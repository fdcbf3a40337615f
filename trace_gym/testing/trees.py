"""Rollout trees written out in one line a rollout, for golden tables.

Leaves out environments: observations, actions and tokens only tell the nodes apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trace_gym.core.action import Action
from trace_gym.core.budget import Cost
from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, FailureCause, StopReason, Turn
from trace_gym.core.task import Limits, Split, Task
from trace_gym.core.tokens import floats, ids
from trace_gym.core.tree import Forest, RolloutTree

ENDS: dict[str, tuple[StopReason, bool]] = {
    "+": (StopReason.TERMINATED, True),
    "-": (StopReason.TERMINATED, False),
    ">": (StopReason.MAX_TURNS, False),
    "#": (StopReason.CONTEXT, False),
    "$": (StopReason.LIMIT, False),
    "/": (StopReason.CUT, False),
    "*": (StopReason.SHOWN, True),
    "?": (StopReason.CENSORED, False),
    "x": (StopReason.CANCELLED, False),
    "!": (StopReason.INVALID, False),
}
"""The marks that end a rollout's line; `.` is one that still runs."""
WORTH = 0.125
"""What a rollout that was cut is worth."""


def toy_task(index: int = 0, *, split: Split = Split.TRAIN, max_turns: int = 20) -> Task:
    """The task `toy/t<index>`, of a family of its own."""
    return Task(f"t{index}", "toy", split, f"f{index}", seed=index, limits=Limits(max_turns))


def grow_tree(
    *rollouts: str,
    index: int = 0,
    task: Task | None = None,
    context: int = 2,
    vocab: int = 256,
    hidden: int = 0,
) -> RolloutTree:
    """A tree from one line a rollout: its anchor, the number of tokens sampled in each turn, its end.

        grow_tree("0 3 2 +", "0 3 1 -", "1 2 ?")

    plays nodes 1 and 2, then 3 and 4, both from the root, then node 5 on from node 1. Ends: `+` success,
    `-` failure, `>` out of turns, `#` out of context, `$` at its limit, `/` cut, `*` shown, `?` censored,
    `x` cancelled, `!` invalid, `.` still running. Rollout i is of grant i. Every turn has `context` context
    tokens, the same for all children of a node, and ids below `vocab`; its check `done` passes only where a
    success ends, or what is shown. With `hidden`, turns carry a state of that size, the same for all children
    of a node. Each turn costs its tokens, 1/4 s of model and 1/8 s of environment.
    """
    tree = RolloutTree(index, task or toy_task(index), [_root(index)])
    for number, line in enumerate(rollouts):
        anchor, *counts, mark = line.split()
        if mark != "." and mark not in ENDS:
            raise ValueError(f"rollout {line!r} must end with one of {' '.join(ENDS)} or '.', got {mark!r}")
        stop, won = ENDS.get(mark, (None, False))
        tree.start(grant=number, anchor=int(anchor))
        for place, count in enumerate(map(int, counts), start=1):
            last = place == len(counts)
            turn = _turn(tree, number, count, context=context, vocab=vocab, hidden=hidden, won=won and last)
            terminated = last and stop is StopReason.TERMINATED
            truncated = last and stop is StopReason.MAX_TURNS
            tree.append(replace(turn, terminated=terminated, truncated=truncated))
        if stop is not None:
            failure = FailureCause.ENVIRONMENT if stop is StopReason.INVALID else None
            worth = WORTH if stop is StopReason.CUT else None
            tree.stop(number, stop, failure, "it broke" if failure else "", worth=worth)
    return tree


def grow_forest(*trees: Sequence[str], step: int = 0) -> Forest:
    """A forest from the lines of its trees."""
    return Forest(step, [grow_tree(*lines, index=index) for index, lines in enumerate(trees)])


def _root(index: int) -> Turn:
    verdicts = (Verdict.of("done", False, evidence="not yet"),)
    return Turn(-1, -1, Actor.TASK, f"task {index}", verdicts, digest=f"{index}/0")


def _turn(
    tree: RolloutTree, rollout: int, count: int, *, context: int, vocab: int, hidden: int, won: bool
) -> Turn:
    node, parent = len(tree.turns), tree.rollouts[rollout].tip
    context_ids = ids([(11 * parent + 5 * place + 1) % vocab for place in range(context)])
    state = np.random.default_rng(1000 * tree.index + parent).standard_normal(hidden)
    return Turn(
        parent=parent,
        rollout=rollout,
        actor=Actor.POLICY,
        observation=f"observation {node}",
        verdicts=(Verdict.of("done", won, evidence="it is done" if won else "not yet"),),
        action=Action.call("go", to=node),
        text=f"go to {node}",
        context_ids=context_ids,
        action_ids=ids([(7 * node + 3 * place + 2) % vocab for place in range(count)]),
        logprobs=floats([-(place + 1) / 8 for place in range(count)]),
        entropy=floats([1 / 4] * count),
        hidden=floats(state.tolist()) if hidden else None,
        policy_version=0,
        reward=float(won),
        digest=f"{tree.index}/{node}",
        cost=Cost(fresh=context, decoded=count, steps=1, model_seconds=0.25, env_seconds=0.125),
    )
