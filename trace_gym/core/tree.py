"""Rollout trees: turns with a parent index. Everything else (paths, leaves, anchors) is derived."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from trace_gym.core.budget import FREE, Cost
from trace_gym.core.episode import Actor, Episode, FailureCause, Rollout, StopReason, Turn
from trace_gym.core.task import Task
from trace_gym.core.tokens import IntArray, ids


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where play may resume: a node of a tree. Node 0 is the task's root."""

    tree: int
    node: int = 0


@dataclass(slots=True)
class RolloutTree:
    """All rollouts of one task in one step. Append-only: a node's parent always precedes it.

    `index` is the tree's position in its forest and, during a step, the candidate's index in the pool.
    """

    index: int
    task: Task
    turns: list[Turn] = field(default_factory=list)
    rollouts: list[Rollout] = field(default_factory=list)

    @classmethod
    def planted(cls, index: int, task: Task) -> RolloutTree:
        """A tree that holds only the root, before any environment was reset."""
        return cls(index, task, [Turn(parent=-1, rollout=-1, actor=Actor.TASK, observation="")])

    def start(self, *, grant: int, anchor: int) -> int:
        """Open a rollout at node `anchor`; returns its number."""
        if not 0 <= anchor < len(self.turns):
            raise ValueError(f"no node {anchor} in a tree of {len(self.turns)} nodes")
        self.rollouts.append(Rollout(grant=grant, anchor=anchor, tip=anchor))
        return len(self.rollouts) - 1

    def append(self, turn: Turn) -> int:
        """Add a turn at the tip of its rollout; returns the node number."""
        rollout = self.rollouts[turn.rollout]
        if rollout.stop is not None:
            raise ValueError(f"rollout {turn.rollout} has ended ({rollout.stop}); nothing can follow")
        if turn.parent != rollout.tip:
            raise ValueError(f"turn's parent is {turn.parent}, its rollout stands at {rollout.tip}")
        self.turns.append(turn)
        node = len(self.turns) - 1
        self.rollouts[turn.rollout] = replace(rollout, tip=node)
        return node

    def stop(
        self,
        rollout: int,
        reason: StopReason,
        failure: FailureCause | None = None,
        detail: str = "",
        *,
        worth: float | None = None,
    ) -> None:
        """Close a rollout; one that is cut has a `worth`, no other has."""
        if (worth is None) is (reason is StopReason.CUT):
            raise ValueError(f"what is cut has a worth and nothing else has, got {reason} and {worth}")
        if self.rollouts[rollout].stop is not None:
            raise ValueError(f"rollout {rollout} has ended already")
        ended = replace(self.rollouts[rollout], stop=reason, failure=failure, detail=detail, worth=worth)
        self.rollouts[rollout] = ended

    def path(self, node: int) -> list[int]:
        """Node numbers from the first turn to `node`, the root left out."""
        nodes: list[int] = []
        while node > 0:
            nodes.append(node)
            node = self.turns[node].parent
        return nodes[::-1]

    def depth(self, node: int) -> int:
        """How many turns lie between the root and `node`, `node` counted; 0 for the root."""
        return len(self.path(node))

    def children(self) -> list[list[int]]:
        """For every node, its children in order of arrival."""
        below: list[list[int]] = [[] for _ in self.turns]
        for node, turn in enumerate(self.turns):
            if turn.parent >= 0:
                below[turn.parent].append(node)
        return below

    def leaves(self) -> dict[int, int]:
        """Leaf node -> rollout, for every scored rollout that took at least one turn."""
        return {r.tip: i for i, r in enumerate(self.rollouts) if r.scored and r.tip != r.anchor}

    def bare(self, rollout: int) -> bool:
        """Did the rollout start at the root?"""
        return self.rollouts[rollout].anchor == 0

    def episode(self, rollout: int) -> Episode:
        """The whole episode of an ended rollout, its prefix included."""
        record = self.rollouts[rollout]
        if record.stop is None:
            raise ValueError(f"rollout {rollout} is still running")
        turns = tuple(self.turns[node] for node in [0, *self.path(record.tip)])
        return Episode(self.task, turns, record.stop, record.failure, record.detail)

    def outcome(self, rollout: int) -> bool | None:
        """Success of an ended rollout; None where it does not count."""
        return self.episode(rollout).success if self.rollouts[rollout].stop is not None else None

    def outcomes(self) -> dict[int, float]:
        """Leaf node -> reward in {0, 1}, for every leaf whose outcome is known."""
        known = {leaf: self.outcome(rollout) for leaf, rollout in self.leaves().items()}
        return {leaf: float(value) for leaf, value in known.items() if value is not None}

    def values(self) -> dict[int, float]:
        """`outcomes`, but for what was cut: that has its worth in [0, 1]. What predictors learn from."""
        found = self.outcomes()
        worth = {r.tip: r.worth for r in self.rollouts if r.worth is not None and r.tip in found}
        return found | worth

    def tokens(self, node: int) -> IntArray:
        """The exact token sequence of the path to `node`: shape (T,)."""
        parts = [
            part for n in self.path(node) for part in (self.turns[n].context_ids, self.turns[n].action_ids)
        ]
        return ids(np.concatenate(parts)) if parts else ids()

    def anchors(self) -> Iterator[int]:
        """Nodes from which play may go on: all whose episode has not ended, the root included."""
        return (node for node, turn in enumerate(self.turns) if not turn.done)

    @property
    def mixed(self) -> bool:
        """Does the tree hold both a success and a failure?"""
        return len(set(self.outcomes().values())) == 2

    @property
    def cost(self) -> Cost:
        """What its turns cost together, a shared turn once; trajectories as `Rollout.spent` counts them."""
        played = Cost(trajectories=sum(rollout.spent for rollout in self.rollouts))
        return sum((turn.cost for turn in self.turns), played)

    def as_of(self, extent: tuple[int, int], ended: Collection[int]) -> RolloutTree:
        """The tree when it held `extent` = (turns, rollouts) and only the rollouts in `ended` (and those that
        broke) had ended; the others are shown as still running."""
        turns, rollouts = extent
        seen = RolloutTree(self.index, self.task, self.turns[:turns], [])
        tips = {turn.rollout: node for node, turn in enumerate(seen.turns)}
        for number, record in enumerate(self.rollouts[:rollouts]):
            tip = tips.get(number, record.anchor)
            over = tip == record.tip and (number in ended or record.stop is StopReason.INVALID)
            seen.rollouts.append(
                record if over else replace(record, tip=tip, stop=None, failure=None, worth=None)
            )
        return seen


@dataclass(slots=True)
class Forest:
    """The trees of one step, one per task played. They are not in its `repr`: asyncio takes that of whatever
    a main coroutine returns, which for a large forest lasted longer than to play it."""

    step: int
    trees: list[RolloutTree] = field(repr=False)

    @property
    def cost(self) -> Cost:
        """What the step cost."""
        return sum((tree.cost for tree in self.trees), FREE)

    def episodes(self) -> list[Episode]:
        """Every ended rollout, as an episode."""
        ended = [(t, i) for t in self.trees for i, r in enumerate(t.rollouts) if r.stop is not None]
        return [tree.episode(i) for tree, i in ended]

    def effective_ratio(self) -> float:
        """Share of played tasks whose tree holds both outcomes (TRACE, section 4); 0 if none was played."""
        played: Sequence[RolloutTree] = [tree for tree in self.trees if tree.outcomes()]
        return sum(tree.mixed for tree in played) / len(played) if played else 0.0
