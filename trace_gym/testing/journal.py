"""A journal in memory, and one that crashes on demand. Leaves out the disk: `trace_gym.store` is the real
one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from trace_gym.core.episode import Rollout, Turn
from trace_gym.core.errors import JournalDiverged
from trace_gym.core.journal import Journal, Recovered
from trace_gym.core.scheduler import Answer, Candidate, Cut, Event, Grant, GrantFailed, TurnDone
from trace_gym.core.task import Task
from trace_gym.core.tree import Anchor, Forest, RolloutTree
from trace_gym.testing.demand import demand_same_turn


@dataclass(slots=True)
class _Step:
    pool: tuple[Candidate, ...]
    tasks: tuple[Task, ...]
    proposal: tuple[Grant, ...] = ()
    grants: dict[int, Grant] = field(default_factory=dict)
    events: list[tuple[Event, tuple[Answer, ...]]] = field(default_factory=list)
    turns: dict[int, list[Turn]] = field(default_factory=dict)
    rollouts: dict[int, list[Rollout]] = field(default_factory=dict)
    pictures: dict[tuple[int, int], bytes] = field(default_factory=dict)
    metrics: dict[str, float] | None = None


class MemoryJournal:
    """Implements core's Journal with the store's semantics, crash safety aside: an entry that repeats an
    older one changes nothing, one that contradicts it raises JournalDiverged, one that refers to what was
    never written is a ValueError. It keeps no reference to the trees it is shown."""

    def __init__(self) -> None:
        self._steps: dict[int, _Step] = {}

    def open_step(self, step: int, pool: Sequence[Candidate], tasks: Sequence[Task]) -> None:
        """See `Journal.open_step`."""
        if [candidate.index for candidate in pool] != list(range(len(tasks))):
            raise ValueError(
                f"step {step}: candidates must be numbered 0 to {len(tasks) - 1}, one for each task"
            )
        known = self._steps.setdefault(step, _Step(tuple(pool), tuple(tasks)))
        _same(f"the pool of step {step}", (known.pool, known.tasks), (tuple(pool), tuple(tasks)))

    def proposed(self, step: int, grants: Sequence[Grant]) -> None:
        """See `Journal.proposed`."""
        record = self._step(step)
        if record.proposal:
            _same(f"the proposal of step {step}", record.proposal, tuple(grants))
            return
        self._grant(record, grants)
        record.proposal = tuple(grants)

    def planted(self, step: int, tree: RolloutTree) -> None:
        """See `Journal.planted`."""
        self.turned(step, tree, 0)

    def started(self, step: int, tree: RolloutTree, rollout: int) -> None:
        """See `Journal.started`."""
        record, begun = self._tree(step, tree), tree.rollouts[rollout]
        known = record.rollouts.setdefault(tree.index, [])
        if begun.grant not in record.grants or rollout > len(known):
            raise ValueError(f"rollout {rollout} of tree {tree.index} does not fit what was recorded before")
        if rollout < len(known):
            now = (begun.grant, begun.anchor)
            _same(f"rollout {rollout}", now, (known[rollout].grant, known[rollout].anchor))
            return
        known.append(Rollout(begun.grant, begun.anchor, begun.anchor))

    def turned(self, step: int, tree: RolloutTree, node: int) -> None:
        """See `Journal.turned`."""
        record, turn = self._tree(step, tree), tree.turns[node]
        known, rollouts = record.turns.setdefault(tree.index, []), record.rollouts.get(tree.index, [])
        if node < len(known):
            try:
                demand_same_turn(known[node], turn, where=f"node {node} of tree {tree.index}", cost=False)
            except AssertionError as difference:
                raise JournalDiverged(f"recorded before, and differently: {difference}") from difference
            return
        if node > len(known) or turn.rollout >= len(rollouts):
            raise ValueError(f"node {node} of tree {tree.index} does not fit what was recorded before")
        known.append(turn)
        if turn.rollout >= 0:
            rollouts[turn.rollout] = replace(rollouts[turn.rollout], tip=node)

    def pictured(self, step: int, tree: RolloutTree, node: int, picture: bytes) -> None:
        """See `Journal.pictured`."""
        record = self._tree(step, tree)
        if node >= len(record.turns.get(tree.index, [])):
            raise ValueError(f"the picture of node {node} does not fit what was recorded before")
        record.pictures[tree.index, node] = picture

    def picture(self, step: int, tree: int, node: int) -> bytes | None:
        """The picture of a turn, None where there is none."""
        return self._step(step).pictures.get((tree, node))

    def stopped(self, step: int, tree: RolloutTree, rollout: int) -> None:
        """See `Journal.stopped`."""
        known, ended = self._tree(step, tree).rollouts.get(tree.index, []), tree.rollouts[rollout]
        if ended.stop is None or rollout >= len(known):
            raise ValueError(f"the end of rollout {rollout} does not fit what was recorded before")
        if known[rollout].stop is None:
            known[rollout] = ended
        _same(f"the end of rollout {rollout}", known[rollout], ended)

    def observed(self, step: int, event: Event, answer: Sequence[Answer]) -> None:
        """See `Journal.observed`."""
        record = self._step(step)
        nameless = isinstance(event, GrantFailed) and event.rollout is None
        for known, answered in record.events:
            if not nameless and _name(known) == _name(event):
                _same(f"{event}", (known, answered), (event, tuple(answer)))
                return
        self._grant(record, [item for item in answer if isinstance(item, Grant)])
        record.events.append((event, tuple(answer)))

    def close_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Journal.close_step`."""
        self._step(step).metrics = dict(metrics)

    def recover(self, step: int) -> Recovered | None:
        """See `Journal.recover`."""
        record = self._steps.get(step)
        if record is None:
            return None
        trees = {}
        for index in sorted({*record.turns, *record.rollouts}):
            bare = RolloutTree.planted(index, record.tasks[index])
            turns = list(record.turns.get(index, [])) or bare.turns
            trees[index] = RolloutTree(index, bare.task, turns, list(record.rollouts.get(index, [])))
        events = tuple(record.events)
        return Recovered(step, record.pool, record.tasks, record.proposal, events, trees)

    def metrics(self, step: int) -> dict[str, float] | None:
        """What the step was closed with, None if it is open."""
        return self._step(step).metrics

    def _step(self, step: int) -> _Step:
        if step not in self._steps:
            raise ValueError(f"step {step} was never opened")
        return self._steps[step]

    def _tree(self, step: int, tree: RolloutTree) -> _Step:
        record = self._step(step)
        if not 0 <= tree.index < len(record.pool):
            raise ValueError(f"tree {tree.index} is of no candidate of step {step}")
        return record

    def _grant(self, record: _Step, grants: Sequence[Grant]) -> None:
        known = [grant.number for grant in grants if grant.number in record.grants]
        if known:
            raise ValueError(f"grant {known[0]} does not fit what was recorded before: it was made already")
        record.grants.update({grant.number: grant for grant in grants})


def _name(event: Event) -> tuple[object, ...]:
    return (type(event), event.tree, event.rollout, getattr(event, "node", None))


def _same(what: str, then: object, now: object) -> None:
    if then != now:
        raise JournalDiverged(f"{what} was recorded before, and differently")


def record_forest(journal: Journal, forest: Forest) -> None:
    """Write a grown forest as its step: trees must be numbered 0, 1, ...; the step stays open. Grants are
    proposed under the numbers that the rollouts name."""
    tasks = [tree.task for tree in forest.trees]
    pool = [Candidate(i, t.key, t.suite, t.family, t.limits.max_turns) for i, t in enumerate(tasks)]
    journal.open_step(forest.step, pool, tasks)
    granted = {record.grant: tree.index for tree in forest.trees for record in tree.rollouts}
    grants = [Grant(number, Anchor(index), 1, "recorded") for number, index in sorted(granted.items())]
    journal.proposed(forest.step, grants)
    for tree in forest.trees:
        journal.planted(forest.step, tree)
        for number in range(len(tree.rollouts)):
            journal.started(forest.step, tree, number)
        for node in range(1, len(tree.turns)):
            journal.turned(forest.step, tree, node)
        for number, record in enumerate(tree.rollouts):
            if record.worth is not None:
                heard = TurnDone(tree.index, number, record.tip, (len(tree.turns), len(tree.rollouts)))
                journal.observed(forest.step, heard, (Cut(tree.index, number, record.worth),))
            if record.stop is not None:
                journal.stopped(forest.step, tree, number)


class Crashed(BaseException):
    """The process is taken to have died here. No `except Exception` stops it."""


class CrashingJournal:
    """Passes writes on to `inner` and raises Crashed at the write number `at` (from 1): before it was
    made, or after. From then on every call raises Crashed, as nothing is done by a dead process. Without
    `at` it only counts: `calls` then says how many places there are to crash at."""

    def __init__(self, inner: Journal, *, at: int | None = None, before: bool = False) -> None:
        if at is not None and at < 1:
            raise ValueError(f"a journal's writes are counted from 1, got at={at}")
        self.inner = inner
        self.calls = 0
        self.crashed = False
        self._at = at
        self._before = before

    def open_step(self, step: int, pool: Sequence[Candidate], tasks: Sequence[Task]) -> None:
        """See `Journal.open_step`."""
        self._write(lambda: self.inner.open_step(step, pool, tasks))

    def proposed(self, step: int, grants: Sequence[Grant]) -> None:
        """See `Journal.proposed`."""
        self._write(lambda: self.inner.proposed(step, grants))

    def planted(self, step: int, tree: RolloutTree) -> None:
        """See `Journal.planted`."""
        self._write(lambda: self.inner.planted(step, tree))

    def started(self, step: int, tree: RolloutTree, rollout: int) -> None:
        """See `Journal.started`."""
        self._write(lambda: self.inner.started(step, tree, rollout))

    def turned(self, step: int, tree: RolloutTree, node: int) -> None:
        """See `Journal.turned`."""
        self._write(lambda: self.inner.turned(step, tree, node))

    def pictured(self, step: int, tree: RolloutTree, node: int, picture: bytes) -> None:
        """See `Journal.pictured`."""
        self._write(lambda: self.inner.pictured(step, tree, node, picture))

    def stopped(self, step: int, tree: RolloutTree, rollout: int) -> None:
        """See `Journal.stopped`."""
        self._write(lambda: self.inner.stopped(step, tree, rollout))

    def observed(self, step: int, event: Event, answer: Sequence[Answer]) -> None:
        """See `Journal.observed`."""
        self._write(lambda: self.inner.observed(step, event, answer))

    def close_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Journal.close_step`."""
        self._write(lambda: self.inner.close_step(step, metrics))

    def recover(self, step: int) -> Recovered | None:
        """See `Journal.recover`; reading is not counted."""
        if self.crashed:
            raise Crashed
        return self.inner.recover(step)

    def _write(self, write: Callable[[], None]) -> None:
        self.calls += not self.crashed
        if self.crashed or (self._before and self.calls == self._at):
            self.crashed = True
            raise Crashed
        write()
        if self.calls == self._at:
            self.crashed = True
            raise Crashed
