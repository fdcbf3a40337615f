"""One step under way: grants become rollouts, rollouts become turns, ends become events.

All decisions happen on the event loop's thread, one event at a time, between awaits; that order is what the
journal records and what a resumed step repeats. It leaves out where tasks come from and what is learnt.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from trace_gym.core.budget import Budget, Cost
from trace_gym.core.episode import SCORED, Actor, FailureCause, StopReason
from trace_gym.core.errors import JournalDiverged
from trace_gym.core.journal import Recovered
from trace_gym.core.predictor import Prediction, Prefix
from trace_gym.core.scheduler import (
    Answer,
    Cancel,
    Candidate,
    Cut,
    EpisodeDone,
    Event,
    Grant,
    GrantFailed,
    TurnDone,
)
from trace_gym.core.task import Task
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.rollout.ending import TakenBack, over
from trace_gym.rollout.parties import Parties
from trace_gym.rollout.player import Player

log = logging.getLogger(__name__)


class CollectedStep:
    """Lifecycle: made for one step, `play` is called once."""

    def __init__(
        self, parties: Parties, step: int, *, tasks: Sequence[Task], pool: Sequence[Candidate], budget: Budget
    ) -> None:
        self._parties = parties
        self._step = step
        self._tasks = tasks
        self._pool = pool
        self._budget = budget
        self._trees: dict[int, RolloutTree] = {}
        self._grants: dict[int, Grant] = {}
        self._cancelled: set[int] = set()
        self._cuts: dict[tuple[int, int], Cut] = {}
        self._hears_turns = parties.scheduler.hears_turns
        self._group = asyncio.TaskGroup()
        taken_back = TakenBack(self._cancelled, self._cuts)
        self._player = Player(parties, step, budget=budget, taken_back=taken_back, on_turn=self._turned)

    async def play(self, known: Recovered | None) -> Forest:
        """Play until every granted rollout has ended; `known` is what the journal holds of this step."""
        try:
            async with self._group:
                if known is None:
                    self._propose()
                else:
                    self._resume(known)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            self._player.close()
        return Forest(self._step, [self._trees[index] for index in sorted(self._trees)])

    # Decisions: what the scheduler is told and what it answers.

    def _propose(self) -> None:
        grants = tuple(self._parties.scheduler.propose(self._pool, self._budget))
        if self._parties.journal:
            self._parties.journal.proposed(self._step, grants)
        self._apply(grants)

    def _apply(self, answer: Sequence[Answer]) -> None:
        for item in answer:
            self._note(item)
            if isinstance(item, Grant):
                self._launch(item, item.count)

    def _note(self, item: Answer) -> None:
        match item:
            case Grant():
                self._register(item)
            case Cancel():
                self._cancelled.add(item.grant)
            case Cut():
                self._cuts[item.tree, item.rollout] = item

    def _register(self, grant: Grant) -> None:
        tree = self._tree(grant.anchor.tree)
        if grant.number in self._grants:
            raise ValueError(f"grant {grant.number} was made twice in step {self._step}")
        if not 0 <= grant.anchor.node < len(tree.turns) or tree.turns[grant.anchor.node].done:
            raise ValueError(
                f"grant {grant.number} is for node {grant.anchor.node}, which cannot be played on"
            )
        if grant.actor is Actor.ORACLE and self._parties.guide is None:
            raise ValueError(
                f"grant {grant.number} is for the oracle, and nobody plays its solutions; give the collector "
                "a guide"
            )
        self._grants[grant.number] = grant

    def _launch(self, grant: Grant, count: int) -> None:
        funded = self._budget.reserve("trajectories", count)
        for ordinal in range(count):
            self._group.create_task(self._rollout(grant, funded=ordinal < funded))

    def _tree(self, index: int) -> RolloutTree:
        if index not in self._trees:
            if not 0 <= index < len(self._tasks):
                raise ValueError(f"a grant names candidate {index}, the pool has {len(self._tasks)}")
            self._trees[index] = RolloutTree.planted(index, self._tasks[index])
        return self._trees[index]

    def _settle(self, tree: RolloutTree, event: Event) -> None:
        answer = tuple(self._parties.scheduler.observe(tree, event))
        if self._parties.journal:
            self._parties.journal.observed(self._step, event, answer)
        if self._parties.listener:
            self._parties.listener(tree, event)
        self._apply(answer)

    def _turned(self, tree: RolloutTree, event: TurnDone) -> None:
        if self._hears_turns:
            node = tree.turns[event.node].parent
            self._settle(tree, replace(event, predictions=self._predicted(tree, [node], [event.node])))
        elif self._parties.listener:
            self._parties.listener(tree, event)

    def _ended(self, tree: RolloutTree, number: int) -> None:
        """Tell of a rollout that has stopped."""
        record = tree.rollouts[number]
        extent = (len(tree.turns), len(tree.rollouts))
        if record.stop is StopReason.INVALID:
            cause = record.failure or FailureCause.ENVIRONMENT
            self._settle(tree, GrantFailed(tree.index, record.grant, number, cause, extent))
        else:
            self._settle(tree, EpisodeDone(tree.index, number, self._predictions(tree, number), extent))

    def _predictions(self, tree: RolloutTree, number: int) -> dict[int, Prediction]:
        path = [0, *tree.path(tree.rollouts[number].tip)]
        return self._predicted(tree, path[:-1], path[1:])

    def _predicted(
        self, tree: RolloutTree, nodes: Sequence[int], after: Sequence[int]
    ) -> dict[int, Prediction]:
        """V~ at `nodes` of one path, each with the turn `after` it."""
        if self._parties.predictor is None or not nodes:
            return {}
        task, first = tree.task, tree.depth(nodes[0])
        prefixes = [
            Prefix(
                task.key,
                task.suite,
                depth,
                task.limits.max_turns,
                tree.turns[node].verdicts,
                tree.turns[child].hidden,
            )
            for depth, (node, child) in enumerate(zip(nodes, after, strict=True), start=first)
        ]
        return dict(zip(nodes, self._parties.predictor.predict(prefixes), strict=True))

    # Resuming: the journal's decisions are repeated, then play goes on.

    def _resume(self, known: Recovered) -> None:
        self._trees = dict(known.trees)
        if not known.grants and not known.events:
            self._propose()
            return
        grants = tuple(self._parties.scheduler.propose(self._pool, self._budget))
        self._repeated("its proposal", grants, known.grants)
        settled: Counter[int] = Counter()
        told: defaultdict[int, set[int]] = defaultdict(set)
        heard: set[tuple[int, int]] = set()
        for grant in known.grants:
            self._register(grant)
        for event, answer in known.events:
            if isinstance(event, EpisodeDone):
                told[event.tree].add(event.rollout)
                settled[self._trees[event.tree].rollouts[event.rollout].grant] += 1
            elif isinstance(event, GrantFailed):
                settled[event.grant] += 1
            else:
                heard.add((event.tree, event.node))
            then = self._tree(event.tree).as_of(event.extent, told[event.tree])
            self._repeated(f"its answer to {event}", self._parties.scheduler.observe(then, event), answer)
            for item in answer:
                self._note(item)
        self._budget.charge(Forest(self._step, list(self._trees.values())).cost)
        self._take_up(settled, told, heard)

    def _tell_turns(self, heard: Collection[tuple[int, int]]) -> None:
        """Tell of newest turns that were not told: of earlier ones the scheduler has heard."""
        if not self._hears_turns:
            return
        for tree in [self._trees[index] for index in sorted(self._trees)]:
            for number, record in enumerate(tree.rollouts):
                fresh = record.stop is None and record.tip != record.anchor
                goes_on = over(tree.turns[record.tip]) is None
                if fresh and goes_on and (tree.index, record.tip) not in heard:
                    extent = (len(tree.turns), len(tree.rollouts))
                    self._turned(tree, TurnDone(tree.index, number, record.tip, extent))

    def _take_up(
        self,
        settled: Counter[int],
        told: defaultdict[int, set[int]],
        heard: Collection[tuple[int, int]],
    ) -> None:
        """Continue what was in flight, start what never began, tell of turns and ends that were not told."""
        begun: Counter[int] = Counter()
        untold: list[tuple[RolloutTree, int]] = []
        for tree in [self._trees[index] for index in sorted(self._trees)]:
            for number, record in enumerate(tree.rollouts):
                if record.stop is None:
                    begun[record.grant] += 1
                    funded = bool(self._budget.reserve("trajectories", 1))
                    again = self._rollout(self._grants[record.grant], funded=funded, resumed=number)
                    self._group.create_task(again)
                elif record.stop is not StopReason.INVALID and number not in told[tree.index]:
                    begun[record.grant] += 1
                    untold.append((tree, number))
        for grant in list(self._grants.values()):
            self._launch(grant, grant.count - settled[grant.number] - begun[grant.number])
        self._tell_turns(heard)
        for tree, number in untold:
            self._ended(tree, number)

    def _repeated(self, what: str, now: Sequence[Answer], then: Sequence[Answer]) -> None:
        if tuple(now) != tuple(then):
            raise JournalDiverged(
                f"step {self._step}: the scheduler did not repeat {what}: it is of another version or "
                "configuration than the run was made with; restore that one or start a new run"
            )

    # Playing one rollout.

    async def _rollout(self, grant: Grant, *, funded: bool, resumed: int | None = None) -> None:
        tree = self._tree(grant.anchor.tree)
        number, guided = resumed, grant.actor is Actor.ORACLE
        for attempt in range(self._parties.config.retries + 1):
            worker = await self._parties.seats.take() if funded else None
            begun = number is not None
            try:
                if number is None:
                    number = tree.start(grant=grant.number, anchor=grant.anchor.node)
                    if self._parties.journal:
                        self._parties.journal.started(self._step, tree, number)
                ending = await self._player.play(worker, tree, number, guided=guided, begun=begun)
            finally:
                if worker is not None:
                    worker.leave()
            stop, failure, detail = ending
            stop = StopReason.SHOWN if guided and stop in SCORED else stop
            worth = self._cuts[tree.index, number].worth if stop is StopReason.CUT else None
            tree.stop(number, stop, failure, detail, worth=worth)
            if stop is not StopReason.INVALID or failure is FailureCause.CONTEXT:
                break
            log.warning("%s: rollout %d is invalid (%s): %s", tree.task.key, number, failure, detail)
            if attempt < self._parties.config.retries:
                if self._parties.journal:
                    self._parties.journal.stopped(self._step, tree, number)
                number = None
        assert number is not None
        if self._parties.journal:
            self._parties.journal.stopped(self._step, tree, number)
        played = Cost(trajectories=tree.rollouts[number].spent)
        self._budget.charge(played, reserved_trajectories=int(funded))
        self._ended(tree, number)
