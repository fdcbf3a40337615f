"""Does a journal keep its protocol? Plays random steps into it and into a model in memory, and compares.

Leaves out crashes in the middle of a call: kill the process for that.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from trace_gym.core.action import Action, ToolCall
from trace_gym.core.check import Status, Verdict
from trace_gym.core.episode import Actor, FailureCause, StopReason, Turn
from trace_gym.core.errors import JournalDiverged
from trace_gym.core.journal import Journal, Recovered
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
    TurnDone,
)
from trace_gym.core.task import Limits, Split, Task
from trace_gym.core.tokens import floats, ids
from trace_gym.core.tree import Anchor, RolloutTree
from trace_gym.testing.demand import demand, demand_same_tree
from trace_gym.testing.journal import MemoryJournal
from trace_gym.testing.trees import grow_tree, toy_task

_TEXTS = ("", "plain", "nul \0 and \U0001f984", "a lone \ud800 surrogate", "quotes \" ' \\ and\r\nlines")


def check_journal(
    factory: Callable[[], Journal], *, reopen: Callable[[Journal], Journal] | None = None, seed: int = 0
) -> None:
    """Put the journal made by `factory` through random steps; AssertionError says what is wrong.

    Demanded, after every single call: `recover` tells exactly what was written, as core objects,
    independent of the trees that were shown; written again, every entry changes nothing; contradicted, it
    raises JournalDiverged; what refers to something never written is a ValueError. `reopen` closes a
    durable journal and opens it anew; it is then called after every entry.
    """
    journal, model = factory(), MemoryJournal()
    demand(journal.recover(0) is None, "a step that was never opened can be recovered")
    script = [entry for step in (0, 3) for entry in _Script(step, random.Random(f"{seed}/{step}")).entries()]
    for position, entry in enumerate(script):
        entry.write(model)
        entry.write(journal)
        journal = reopen(journal) if reopen else journal
        for step in (0, 3):
            _compare(f"after call {position}", journal.recover(step), model.recover(step))
    for entry in filter(lambda entry: entry.repeatable, script):
        entry.write(journal)
    for step in (0, 3):
        _compare("after every call was repeated", journal.recover(step), model.recover(step))
    _contradictions(journal)
    _compare("after contradictions", journal.recover(0), model.recover(0))
    _dangling(journal)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A write, and whether it may be made twice: a failure without a rollout has no name of its own, so a
    second one is another failure."""

    write: Callable[[Journal], None]
    repeatable: bool


@dataclass(slots=True)
class _Script:
    """Grows trees at random, and notes every change as an entry that can be written at any time."""

    step: int
    rng: random.Random
    noted: list[_Entry] = field(default_factory=list)
    trees: list[RolloutTree] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    cuts: dict[tuple[int, int], Cut] = field(default_factory=dict)

    def entries(self) -> list[_Entry]:
        """A whole step, from its pool to its metrics."""
        tasks = [_task(index) for index in range(3)]
        pool = [
            Candidate(i, t.key, t.suite, t.family, t.limits.max_turns, _prediction(self.rng) if i else None)
            for i, t in enumerate(tasks)
        ]
        step, proposal = self.step, [self._grant(Anchor(index), 4) for index in range(2)]
        self._note(lambda journal: journal.open_step(step, pool, tasks))
        self._note(lambda journal: journal.proposed(step, proposal))
        self.trees = [RolloutTree.planted(index, task) for index, task in enumerate(tasks)]
        for _ in range(40):
            self._move()
        self._fail(None)
        self._fail(None)
        self._note(lambda journal: journal.close_step(step, {"ratio": 0.5, "broken": float("nan")}))
        return self.noted

    def _grant(self, anchor: Anchor, count: int) -> Grant:
        text = self.rng.choice(_TEXTS)
        actor = self.rng.choice([Actor.POLICY, Actor.ORACLE])
        self.grants.append(Grant(len(self.grants), anchor, count, text, self.rng.random(), actor))
        return self.grants[-1]

    def _note(self, write: Callable[[Journal], None], *, repeatable: bool = True) -> None:
        self.noted.append(_Entry(write, repeatable))

    def _show(self, tree: RolloutTree, write: Callable[[Journal, RolloutTree], None]) -> None:
        """Note a write that is shown the tree as it is now."""
        seen = RolloutTree(tree.index, tree.task, list(tree.turns), list(tree.rollouts))
        self._note(lambda journal: write(journal, seen))

    def _move(self) -> None:
        """Start a rollout, or let one take a turn or end."""
        tree, step = self.trees[self.rng.randrange(2)], self.step
        running = [number for number, record in enumerate(tree.rollouts) if record.stop is None]
        if not running or self.rng.random() < 0.2:
            anchor = self.rng.choice(list(tree.anchors()))
            number = tree.start(grant=self.rng.choice(self.grants).number, anchor=anchor)
            self._show(tree, lambda journal, seen: journal.started(step, seen, number))
            if not tree.turns[0].digest:
                tree.turns[0] = replace(tree.turns[0], observation=self.rng.choice(_TEXTS), digest="root")
                self._show(tree, lambda journal, seen: journal.planted(step, seen))
            return
        number = self.rng.choice(running)
        if (tree.index, number) in self.cuts or self.rng.random() < 0.3:
            self._stop(tree, number)
            return
        node = tree.append(_turn(tree, number, self.rng))
        self._show(tree, lambda journal, seen: journal.turned(step, seen, node))
        if self.rng.random() < 0.5:
            known = {tree.turns[node].parent: _prediction(self.rng)}
            extent = (len(tree.turns), len(tree.rollouts))
            cut = Cut(tree.index, number, self.rng.random()) if self.rng.random() < 0.3 else None
            self._observe(TurnDone(tree.index, number, node, extent, known), cut)

    def _stop(self, tree: RolloutTree, number: int) -> None:
        step, cut = self.step, self.cuts.get((tree.index, number))
        others = [reason for reason in StopReason if reason is not StopReason.CUT]
        reason = self.rng.choice(others) if cut is None else StopReason.CUT
        broken = reason is StopReason.INVALID
        cause = self.rng.choice(list(FailureCause)) if broken else None
        detail = self.rng.choice(_TEXTS) if broken else ""
        tree.stop(number, reason, cause, detail, worth=None if cut is None else cut.worth)
        self._show(tree, lambda journal, seen: journal.stopped(step, seen, number))
        if broken:
            self._fail(number, tree.index)
            return
        nodes = [0, *tree.path(tree.rollouts[number].tip)]
        known = {node: _prediction(self.rng) for node in reversed(nodes)}
        self._observe(EpisodeDone(tree.index, number, known, (len(tree.turns), len(tree.rollouts))))

    def _fail(self, rollout: int | None, tree: int = 0) -> None:
        self._observe(GrantFailed(tree, 0, rollout, FailureCause.TIMEOUT, (1, 0)))

    def _observe(self, event: Event, cut: Cut | None = None) -> None:
        step, answer = self.step, list[Answer]()
        if cut is not None:
            self.cuts[cut.tree, cut.rollout] = cut
            answer.append(cut)
        for _ in range(self.rng.randrange(3)):
            grant = self._grant(Anchor(self.rng.randrange(2)), 1 + self.rng.randrange(3))
            answer += self.rng.sample([grant, Cancel(self.rng.choice(self.grants[:-1]).number)], 2)
        nameless = isinstance(event, GrantFailed) and event.rollout is None
        self._note(lambda journal: journal.observed(step, event, answer), repeatable=not nameless)


def _task(index: int) -> Task:
    payload = {"gold": [1, 2.5, None, {"deep": _TEXTS[3]}], "index": index}
    return Task(
        f"t{index}", "toy", Split.TRAIN, _TEXTS[3], seed=2**70, payload=payload, limits=Limits(7, 2.5)
    )


def _prediction(rng: random.Random) -> Prediction:
    spent = (None, None) if rng.random() < 0.3 else (9 * rng.random(), 9 * rng.random())
    return Prediction(rng.random(), 1 + rng.random(), *spent)


def _turn(tree: RolloutTree, rollout: int, rng: random.Random) -> Turn:
    """A turn with something in every field, now and then with nothing."""
    grown = grow_tree(f"0 {rng.randrange(1, 5)} .", context=rng.randrange(3), hidden=rng.randrange(3)).turns[
        1
    ]
    text = rng.choice(_TEXTS)
    call = Action((ToolCall("search", {"query": text, "deep": [1.5, None, {"a": True}]}), ToolCall("read")))
    verdicts = tuple(
        Verdict(text, status, rng.random(), rng.choice(_TEXTS), rng.random(), rng.random() < 0.5)
        for status in rng.sample(list(Status), rng.randrange(4))
    )
    turn = replace(
        grown,
        parent=tree.rollouts[rollout].tip,
        rollout=rollout,
        observation=text,
        text=rng.choice(_TEXTS),
        verdicts=verdicts,
        action=rng.choice(
            [call, Action(message=text), Action(error=text), Action((ToolCall("a"),), text), None]
        ),
        reward=rng.choice([0.0, -1.5, float("inf")]),
        digest=rng.choice(_TEXTS),
    )
    if rng.random() < 0.8:
        return turn
    return replace(turn, actor=Actor.ORACLE, policy_version=None, action_ids=ids(), logprobs=floats())


def _compare(when: str, found: Recovered | None, wanted: Recovered | None) -> None:
    if found is None or wanted is None:
        demand(found is wanted, f"{when}, recover gave {found}, not {wanted}")
        return
    for name in ("step", "pool", "tasks", "grants", "events"):
        mine, other = getattr(found, name), getattr(wanted, name)
        if mine != other:
            raise AssertionError(f"{when}, {name} recovered as {mine}, not {other}")
    demand(sorted(found.trees) == sorted(wanted.trees), f"{when}, trees {sorted(found.trees)} were recovered")
    for index, tree in found.trees.items():
        demand_same_tree(tree, wanted.trees[index])


def _contradictions(journal: Journal) -> None:
    known = journal.recover(0)
    assert known is not None
    tree = next(t for t in known.trees.values() if len(t.turns) > 1 and any(r.stop for r in t.rollouts))
    ended = next(number for number, record in enumerate(tree.rollouts) if record.stop)
    event, answer = next((e, a) for e, a in known.events if isinstance(e, EpisodeDone))

    def changed(node: int, change: Callable[[Turn], Turn]) -> RolloutTree:
        turns = [change(turn) if n == node else turn for n, turn in enumerate(tree.turns)]
        return replace(tree, turns=turns)

    def judged(turn: Turn) -> Turn:
        return replace(turn, verdicts=(*turn.verdicts, Verdict.of("more", True, evidence="")))

    renamed = changed(0, lambda turn: replace(turn, observation="another"))
    reworded = changed(1, lambda turn: replace(turn, text="another"))
    others = [replace(record, anchor=record.anchor + 1, detail="other") for record in tree.rollouts]
    bent = replace(tree, rollouts=others)
    attempts: dict[str, Callable[[], None]] = {
        "another pool": lambda: journal.open_step(0, known.pool[:2], known.tasks[:2]),
        "another proposal": lambda: journal.proposed(0, known.grants[:1]),
        "another root": lambda: journal.planted(0, renamed),
        "another turn": lambda: journal.turned(0, reworded, 1),
        "another verdict": lambda: journal.turned(0, changed(1, judged), 1),
        "another start": lambda: journal.started(0, bent, ended),
        "another end": lambda: journal.stopped(0, bent, ended),
        "another answer": lambda: journal.observed(0, event, [*answer, Cancel(0)]),
    }
    for what, attempt in attempts.items():
        try:
            attempt()
        except JournalDiverged:
            continue
        raise AssertionError(f"{what} than was recorded was accepted")


def _dangling(journal: Journal) -> None:
    tree, task = grow_tree("0 1 1 +", task=toy_task()), toy_task()
    pool = [Candidate(0, task.key, task.suite, task.family, 20)]
    event = EpisodeDone(0, 0)

    def refused(what: str, attempt: Callable[[], None]) -> None:
        try:
            attempt()
        except ValueError as error:
            demand(not isinstance(error, JournalDiverged), f"{what} raised {error!r}")
            return
        raise AssertionError(f"{what} was accepted")

    refused("a proposal for a step that was never opened", lambda: journal.proposed(9, [_GRANT]))
    refused("a root for a step that was never opened", lambda: journal.planted(9, tree))
    refused("an event of a step that was never opened", lambda: journal.observed(9, event, []))
    refused("metrics of a step that was never opened", lambda: journal.close_step(9, {}))
    refused("two tasks for one candidate", lambda: journal.open_step(9, pool, [task, task]))
    journal.open_step(9, pool, [task])
    refused("a rollout of no grant", lambda: journal.started(9, tree, 0))
    journal.proposed(9, [_GRANT])
    refused("a turn of no rollout", lambda: journal.turned(9, tree, 1))
    refused("the end of no rollout", lambda: journal.stopped(9, tree, 0))
    journal.started(9, tree, 0)
    refused("a turn without a root", lambda: journal.turned(9, tree, 1))
    journal.planted(9, tree)
    refused("a turn before its parent", lambda: journal.turned(9, tree, 2))
    refused("the end of a running rollout", lambda: journal.stopped(9, grow_tree("0 1 ."), 0))
    refused("a grant that was made before", lambda: journal.observed(9, event, [_GRANT]))
    found = journal.recover(9)
    demand(found is not None and not found.events, "an entry that was refused is in the journal")


_GRANT = Grant(0, Anchor(0), 1, "the only one")
