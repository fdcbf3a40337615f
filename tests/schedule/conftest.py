"""A small deterministic world that plays whatever a scheduler grants, in any order of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import TypeAlias

import numpy as np
import pytest

from trace_gym.core.budget import Budget, Cost
from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, FailureCause, StopReason, Turn
from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import (
    Answer,
    Candidate,
    EpisodeDone,
    Grant,
    GrantFailed,
    Scheduler,
    TurnDone,
)
from trace_gym.core.task import Limits, Split, Task
from trace_gym.core.tree import Forest, RolloutTree

Running: TypeAlias = tuple[int, int, np.random.Generator]
Happened: TypeAlias = TurnDone | EpisodeDone | GrantFailed


@dataclass(slots=True)
class World:
    """Tasks of known difficulty: success probability is a random walk in log-odds, observed in every turn.

    `values[i]` is V at the root of task i, `turns[i]` the length of its episodes. `breaks` is the share of
    rollouts given up; `unknown` that of episodes whose check has no finding. What a rollout does depends on
    its tree, its anchor and its number at that anchor alone. `order` picks the next rollout to take a turn
    out of the number running. Every event goes into `events`, with the answer it got.
    """

    values: Sequence[float]
    turns: Sequence[int]
    seed: int = 0
    breaks: float = 0.0
    unknown: float = 0.0
    predicts: bool = True
    events: list[tuple[Happened, list[Answer]]] = field(default_factory=list)
    trees: dict[int, RolloutTree] = field(default_factory=dict)
    grants: dict[int, Grant] = field(default_factory=dict)

    def pool(self) -> list[Candidate]:
        """One candidate a task, in order."""
        return [
            Candidate(i, f"world/{i}", "world", f"f{i}", n, Prediction(v) if self.predicts else None)
            for i, (v, n) in enumerate(zip(self.values, self.turns, strict=True))
        ]

    def plant(self, index: int) -> RolloutTree:
        """The tree of a task, its root observed."""
        task = Task(str(index), "world", Split.TRAIN, f"f{index}", limits=Limits(max_turns=self.turns[index]))
        root = Turn(parent=-1, rollout=-1, actor=Actor.TASK, observation=str(self.values[index]))
        return RolloutTree(index, task, [root])

    def step(
        self,
        scheduler: Scheduler,
        budget: Budget,
        *,
        order: Callable[[int], int] = lambda running: 0,
        number: int = 0,
    ) -> tuple[Forest, Mapping[str, float]]:
        """Play a whole step: propose, every turn and every end in the order of `order`, learn."""
        self.events, self.trees, self.grants = [], {}, {}
        running: list[Running] = []
        self._start(scheduler.propose(self.pool(), budget), running)
        while running:
            place = order(len(running))
            event = self._advance(*running[place])
            tree = self.trees[event.tree]
            if not isinstance(event, TurnDone):
                running.pop(place)
            answer = list(scheduler.observe(tree, event))
            self.events.append((event, answer))
            self._start(answer, running)
        forest = Forest(number, [self.trees[i] for i in sorted(self.trees)])
        return forest, scheduler.learn(forest)

    def decisions(self) -> list[tuple[int, int, int, int, str, float]]:
        """What was granted, named so that different orders of play can be compared: not by the numbers of
        grants and nodes, but by the rollout and the depth of the anchor."""
        named = []
        for grant in self.grants.values():
            tree, node = self.trees[grant.anchor.tree], grant.anchor.node
            where = (tree.index, tree.turns[node].rollout, tree.depth(node))
            named.append((*where, grant.count, grant.reason, grant.propensity))
        return sorted(named)

    def _start(self, answer: Sequence[Answer], running: list[Running]) -> None:
        for grant in answer:
            assert isinstance(grant, Grant)
            assert grant.number not in self.grants
            self.grants[grant.number] = grant
            index, node = grant.anchor.tree, grant.anchor.node
            tree = self.trees.setdefault(index, self.plant(index))
            for _ in range(grant.count):
                nth = sum(rollout.anchor == node for rollout in tree.rollouts)
                place = (index, tree.depth(node), 1 + tree.turns[node].rollout, nth)
                rng = np.random.default_rng([self.seed, *place])
                running.append((index, tree.start(grant=grant.number, anchor=node), rng))

    def _advance(self, index: int, rollout: int, rng: np.random.Generator) -> Happened:
        tree = self.trees[index]
        record = tree.rollouts[rollout]
        if record.tip == record.anchor and rng.random() < self.breaks:
            tree.stop(rollout, StopReason.INVALID, FailureCause.SANDBOX)
            return GrantFailed(index, record.grant, rollout, FailureCause.SANDBOX)
        v = float(tree.turns[record.tip].observation)
        last = tree.depth(record.tip) + 1 == self.turns[index]
        v = float(rng.random() < v) if last else _walk(v, rng)
        found = (Verdict.of("won", last and v == 1.0, evidence=""),)
        if last and rng.random() < self.unknown:
            found = ()
        node = tree.append(
            Turn(
                parent=record.tip,
                rollout=rollout,
                actor=Actor.POLICY,
                observation=str(v),
                verdicts=found,
                terminated=last,
                cost=Cost(decoded=5, steps=1),
            )
        )
        if not last:
            return TurnDone(index, rollout, node)
        tree.stop(rollout, StopReason.TERMINATED)
        path = [0, *tree.path(node)][:-1]
        told = {n: Prediction(float(tree.turns[n].observation)) for n in path} if self.predicts else {}
        return EpisodeDone(index, rollout, told)


def _walk(v: float, rng: np.random.Generator) -> float:
    """A step of a martingale in (0, 1): up or down by the same factor of odds, as likely as V makes it."""
    odds = log(v / (1.0 - v))
    up, down = (1.0 / (1.0 + exp(-(odds + by))) for by in (1.0, -1.0))
    return up if rng.random() < (v - down) / (up - down) else down


@pytest.fixture(scope="session")
def world() -> type[World]:
    """The simulator's class."""
    return World
