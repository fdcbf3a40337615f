"""Does a scheduler keep its protocol? Drives one through random steps, as the collector would, and looks.

Leaves out whether its choices are good: that is what its own tests are for.
"""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from trace_gym.core.budget import Budget, Cost
from trace_gym.core.check import Verdict
from trace_gym.core.episode import SCORED, Actor, FailureCause, StopReason, Turn
from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import (
    Answer,
    Cancel,
    Candidate,
    Cut,
    EpisodeDone,
    Event,
    Grant,
    GrantFailed,
    Scheduler,
    TurnDone,
)
from trace_gym.core.tokens import floats, ids
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.testing.demand import demand
from trace_gym.testing.trees import toy_task

Answers: TypeAlias = tuple[Answer, ...]
Log: TypeAlias = tuple[Answers, tuple[tuple[Event, Answers], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What schedulers are put through. Each task has a success probability and episode length of its own,
    drawn from `seed`; `failures` is the chance that a turn breaks its rollout."""

    seed: int = 0
    steps: int = 3
    tasks: int = 12
    trajectories: int = 48
    max_turns: int = 6
    failures: float = 0.03
    predictions: bool = True


@dataclass(slots=True)
class _Play:
    """One step under way, with one purse; a rollout without number was granted and has not begun."""

    scheduler: Scheduler
    trial: Trial
    rng: random.Random
    budget: Budget
    trees: dict[int, RolloutTree]
    played: set[int] = field(default_factory=set)
    grants: dict[int, Grant] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    cuts: dict[tuple[int, int], float] = field(default_factory=dict)
    live: list[tuple[int, int | None]] = field(default_factory=list)
    events: list[tuple[Event, Answers]] = field(default_factory=list)

    def accept(self, answer: Sequence[Answer]) -> None:
        """Check an answer and queue what it grants."""
        for item in answer:
            if isinstance(item, Cancel):
                demand(item.grant in self.grants, f"{item} takes back a grant that was never made")
                self.cancelled.add(item.grant)
                continue
            if isinstance(item, Cut):
                playing = {(self.grants[number].anchor.tree, rollout) for number, rollout in self.live}
                demand((item.tree, item.rollout) in playing, f"{item} stops a rollout that does not run")
                self.cuts[item.tree, item.rollout] = item.worth
                continue
            tree = self.trees.get(item.anchor.tree)
            demand(item.number not in self.grants, f"{item} has the number of an earlier grant")
            demand(tree is not None, f"{item} names a candidate that is not in the pool")
            assert tree is not None
            node = item.anchor.node
            demand(0 <= node < len(tree.turns), f"{item} names a node that does not exist")
            demand(not tree.turns[node].done, f"{item} names a node where the episode has ended")
            demand(self.scheduler.forks or node == 0, f"{item} forks, though `forks` is False")
            demand(0.0 < item.propensity <= 1.0, f"{item} has a propensity outside (0, 1]")
            paid = self.budget.reserve("trajectories", item.count)
            demand(paid == item.count, f"{item} exceeds the budget: only {paid} trajectories were left")
            self.grants[item.number] = item
            self.played.add(tree.index)
            self.live += [(item.number, None)] * item.count

    def advance(self) -> None:
        """Let one rollout, drawn at random, take a turn or end."""
        place = self.rng.randrange(len(self.live))
        number, rollout = self.live[place]
        tree = self.trees[self.grants[number].anchor.tree]
        if rollout is None:
            rollout = tree.start(grant=number, anchor=self.grants[number].anchor.node)
            self.live[place] = (number, rollout)
        if number in self.cancelled:
            self._end(place, tree, rollout, StopReason.CANCELLED)
        elif (tree.index, rollout) in self.cuts:
            self._end(place, tree, rollout, StopReason.CUT)
        elif self.rng.random() < self.trial.failures:
            self._end(place, tree, rollout, StopReason.INVALID)
        else:
            self._turn(place, tree, rollout)

    def _turn(self, place: int, tree: RolloutTree, rollout: int) -> None:
        parent = tree.rollouts[rollout].tip
        depth = tree.depth(parent) + 1
        draw = random.Random(f"{self.trial.seed}/{tree.task.key}")
        ability, hazard = draw.random(), 0.2 + 0.6 * draw.random()
        over = self.rng.random() < hazard
        shown = self.grants[tree.rollouts[rollout].grant].actor is Actor.ORACLE
        won = over and (self.rng.random() < ability or shown)
        cut = not over and depth >= tree.task.limits.max_turns
        turn = Turn(
            parent=parent,
            rollout=rollout,
            actor=Actor.ORACLE if shown else Actor.POLICY,
            observation="",
            verdicts=(Verdict.of("done", won, evidence=""),),
            action_ids=ids([1]),
            logprobs=floats([-1.0]),
            terminated=over,
            truncated=cut,
            cost=Cost(fresh=1, decoded=int(not shown), steps=1),
        )
        node = tree.append(turn)
        self.budget.charge(turn.cost)
        if over or cut:
            self._end(place, tree, rollout, StopReason.TERMINATED if over else StopReason.MAX_TURNS)
        elif self.scheduler.hears_turns:
            known = {parent: _prediction(self.rng)} if self.trial.predictions else {}
            self._tell(tree, TurnDone(tree.index, rollout, node, _extent(tree), known))

    def _end(self, place: int, tree: RolloutTree, rollout: int, reason: StopReason) -> None:
        del self.live[place]
        broken = reason is StopReason.INVALID
        guided = self.grants[tree.rollouts[rollout].grant].actor is Actor.ORACLE
        reason = StopReason.SHOWN if guided and reason in SCORED else reason
        worth = self.cuts.get((tree.index, rollout)) if reason is StopReason.CUT else None
        tree.stop(rollout, reason, FailureCause.ENVIRONMENT if broken else None, worth=worth)
        played = Cost(trajectories=tree.rollouts[rollout].spent)
        self.budget.charge(played, reserved_trajectories=1)
        if broken:
            grant = tree.rollouts[rollout].grant
            failed = GrantFailed(tree.index, grant, rollout, FailureCause.ENVIRONMENT, _extent(tree))
            self._tell(tree, failed)
            return
        nodes = [0, *tree.path(tree.rollouts[rollout].tip)] if self.trial.predictions else []
        known = {node: _prediction(self.rng) for node in nodes if not tree.turns[node].done}
        self._tell(tree, EpisodeDone(tree.index, rollout, known, _extent(tree)))

    def _tell(self, tree: RolloutTree, event: Event) -> None:
        answer = tuple(self.scheduler.observe(tree, event))
        self.events.append((event, answer))
        self.accept(answer)


def check_scheduler(factory: Callable[[], Scheduler], *, trial: Trial | None = None) -> None:
    """Drive schedulers made by `factory` through random steps with interleaved events; AssertionError
    says what is wrong.

    Demanded: grants have numbers of their own, name nodes that can be played on, stay within the budget
    and, where `forks` is False, at roots; every rollout granted ends and the purse closes even; `learn`
    gives plain numbers; the same events bring the same decisions from a second instance, from one that
    took up a pickled `state_dict` between steps, and from one that is shown the events again with the
    trees as they were then.
    """
    trial = trial or Trial()
    first, second = factory(), factory()
    for step in range(trial.steps):
        state = pickle.dumps(first.state_dict())
        log, play = _step(first, trial, step)
        demand(_step(second, trial, step)[0] == log, f"step {step}: a second instance decided otherwise")
        resumed = factory()
        resumed.load_state_dict(pickle.loads(state))
        demand(_step(resumed, trial, step)[0] == log, f"step {step}: a restored instance decided otherwise")
        again = factory()
        again.load_state_dict(pickle.loads(state))
        _repeat(again, trial, step, play)


def _pool(scheduler: Scheduler, trial: Trial, step: int) -> list[Candidate]:
    rng = random.Random(f"{trial.seed}/{step}/pool")
    size = trial.tasks if scheduler.pool_size is None else min(scheduler.pool_size, trial.tasks)
    tasks = [toy_task(index, max_turns=trial.max_turns) for index in rng.sample(range(trial.tasks), size)]
    return [
        Candidate(
            index,
            task.key,
            task.suite,
            task.family,
            trial.max_turns,
            _prediction(rng) if trial.predictions else None,
        )
        for index, task in enumerate(tasks)
    ]


def _step(scheduler: Scheduler, trial: Trial, step: int) -> tuple[Log, _Play]:
    """Play one step to its end; returns every decision, and the play."""
    pool = _pool(scheduler, trial, step)
    tasks = {task.key: task for task in (toy_task(i, max_turns=trial.max_turns) for i in range(trial.tasks))}
    trees = {c.index: RolloutTree.planted(c.index, tasks[c.task]) for c in pool}
    budget = Budget(trajectories=trial.trajectories)
    play = _Play(scheduler, trial, random.Random(f"{trial.seed}/{step}/play"), budget, trees)
    proposal = tuple(scheduler.propose(pool, budget))
    play.accept(proposal)
    while play.live:
        play.advance()
    forest = Forest(step, [trees[index] for index in sorted(play.played)])
    left, spent = budget.left("trajectories"), forest.cost.trajectories
    demand(left == trial.trajectories - spent, f"step {step}: {spent} trajectories played, {left} left over")
    for name, value in scheduler.learn(forest).items():
        number = isinstance(value, (int, float)) and not math.isnan(value)
        demand(number, f"step {step}: the metric {name!r} is {value!r}, not a number")
    return (proposal, tuple(play.events)), play


def _repeat(scheduler: Scheduler, trial: Trial, step: int, play: _Play) -> None:
    """Show a step's events again, as a resumed run does."""
    scheduler.propose(_pool(scheduler, trial, step), Budget(trajectories=trial.trajectories))
    ended: dict[int, set[int]] = {index: set() for index in play.trees}
    for event, answer in play.events:
        if isinstance(event, EpisodeDone):
            ended[event.tree].add(event.rollout)
        then = play.trees[event.tree].as_of(event.extent, ended[event.tree])
        same = tuple(scheduler.observe(then, event)) == answer
        demand(same, f"step {step}: the answer to {event} was another when the step was repeated")


def _extent(tree: RolloutTree) -> tuple[int, int]:
    return len(tree.turns), len(tree.rollouts)


def _prediction(rng: random.Random) -> Prediction:
    return Prediction(0.02 + 0.96 * rng.random(), 2.0 + 8.0 * rng.random(), tokens=4.0, turns=2.0)
