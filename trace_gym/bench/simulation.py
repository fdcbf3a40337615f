"""A scheduler on a synthetic landscape, step by step, through the events it would see in training.

Running rollouts take turns round by round, so that what is granted meanwhile is played beside them. Leaves
out the figures.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from trace_gym.bench.martingale import FORESIGHT, Foresight, Landscape, turn_of
from trace_gym.core.budget import Budget
from trace_gym.core.episode import Actor, StopReason, Turn
from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import Answer, Candidate, EpisodeDone, Grant, Scheduler, TurnDone
from trace_gym.core.targets import prefixes
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.schedule.beta import BetaPredictor

PREDICTORS = (*FORESIGHT, "beta")


@dataclass(slots=True)
class Grown:
    """A tree of the step and V at each of its nodes."""

    tree: RolloutTree
    values: list[float]
    told: dict[int, Prediction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Played:
    """A finished step: the trees that were played, what was granted, and V of every candidate offered."""

    grown: Sequence[Grown]
    grants: Sequence[Grant]
    offered: Sequence[float]


class Simulation:
    """One scheduler on one landscape, step by step. `beta` in place of a foresight learns from what is
    played."""

    def __init__(
        self, landscape: Landscape, scheduler: Scheduler, predictor: str, *, pool: int, budget: int, seed: int
    ) -> None:
        if predictor not in PREDICTORS:
            raise ValueError(f"predictor must be one of {', '.join(PREDICTORS)}, got {predictor!r}")
        self._landscape = landscape
        self._roots = landscape.values()
        self._scheduler = scheduler
        self._foresight: Foresight | None = FORESIGHT.get(predictor)
        self._beta = BetaPredictor() if predictor == "beta" else None
        self._pool = pool
        self._budget = budget
        self._seed = seed
        self._step = 0
        self._grown: dict[int, Grown] = {}
        self._rng = random.Random(0)
        self._noise = random.Random(0)

    def step(self) -> Played:
        """Play a step to its end."""
        draw = random.Random(f"{self._seed}/{self._step}/pool")
        self._rng = random.Random(f"{self._seed}/{self._step}/play")
        self._noise = random.Random(f"{self._seed}/{self._step}/noise")
        wanted = min(self._scheduler.pool_size or self._pool, self._landscape.tasks)
        chosen = draw.sample(range(self._landscape.tasks), wanted)
        self._grown = {}
        pool = [self._candidate(index, number) for index, number in enumerate(chosen)]
        budget = Budget(trajectories=self._budget)
        grants: list[Grant] = []
        running: list[tuple[Grown, int]] = []
        self._start(self._scheduler.propose(pool, budget), grants, running, chosen)
        while running:
            for entry in list(running):
                grown, rollout = entry
                event = self._advance(grown, rollout)
                if isinstance(event, EpisodeDone):
                    running.remove(entry)
                elif not self._scheduler.hears_turns:
                    continue
                self._start(self._scheduler.observe(grown.tree, event), grants, running, chosen)
        played = [self._grown[index] for index in sorted(self._grown) if self._grown[index].tree.rollouts]
        forest = Forest(self._step, [grown.tree for grown in played])
        self._scheduler.learn(forest)
        if self._beta is not None:
            self._beta.learn(forest)
        self._step += 1
        return Played(played, grants, [self._roots[number] for number in chosen])

    def _candidate(self, index: int, number: int) -> Candidate:
        task, value = self._landscape.task(number), self._roots[number]
        root = Turn(parent=-1, rollout=-1, actor=Actor.TASK, observation="")
        grown = self._grown[index] = Grown(RolloutTree(index, task, [root]), [value])
        self._tell(grown, [0])
        return Candidate(index, task.key, task.suite, task.family, task.limits.max_turns, grown.told[0])

    def _tell(self, grown: Grown, nodes: Sequence[int]) -> dict[int, Prediction]:
        """V~ at nodes, the same whenever one is asked for."""
        new = [node for node in nodes if node not in grown.told]
        if self._beta is not None:
            asked = self._beta.predict(prefixes(grown.tree, new))
            grown.told |= dict(zip(new, asked, strict=True))
        elif self._foresight is not None:
            grown.told |= {n: self._foresight.predict(grown.values[n], self._noise) for n in new}
        return {node: grown.told[node] for node in nodes}

    def _start(
        self,
        answer: Sequence[Answer],
        grants: list[Grant],
        running: list[tuple[Grown, int]],
        chosen: Sequence[int],
    ) -> None:
        for item in answer:
            if not isinstance(item, Grant):
                raise ValueError("the simulation plays every rollout to its end; a method stopped one")
            grants.append(item)
            grown = self._grown[item.anchor.tree]
            for _ in range(item.count):
                running.append((grown, grown.tree.start(grant=item.number, anchor=item.anchor.node)))

    def _advance(self, grown: Grown, rollout: int) -> TurnDone | EpisodeDone:
        tree, landscape = grown.tree, self._landscape
        tip = tree.rollouts[rollout].tip
        value, turn = grown.values[tip], tree.depth(tip) + 1
        last = turn >= landscape.turns
        won = last and self._rng.random() < value
        node = tree.append(turn_of(tip, rollout, value=value, last=last, won=won))
        grown.values.append(float(won) if last else landscape.step(value, turn, self._rng))
        extent = (len(tree.turns), len(tree.rollouts))
        if not last:
            return TurnDone(tree.index, rollout, node, extent)
        tree.stop(rollout, StopReason.TERMINATED)
        path = [0, *tree.path(node)[:-1]]
        return EpisodeDone(tree.index, rollout, self._tell(grown, path), extent)
