"""What must hold of a run that was killed: nothing lost, doubled, done again or changed.

Each check gives the faults it found, in words; none is the good news. Leaves out the killing.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from trace_gym.core.errors import RunFolderError, boundary
from trace_gym.core.scheduler import Cancel, EpisodeDone, Grant, GrantFailed
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.store import FILE, RunStatus, Store

Rows: TypeAlias = Mapping[tuple[Any, ...], tuple[Any, ...]]
_TURNS = """
  SELECT t.step, t.tree, t.node, t.parent, t.rollout, t.digest, t.action_ids, t.logprobs, t.text,
    t.policy_version, s.ended_at, s.worker FROM turns t LEFT JOIN spans s USING (step, tree, node)
"""
_GRANTS = "SELECT 'grant', step, number, event, tree, node, count, reason FROM grants"
CLOSE = 1e-5
"""Weights may differ by so much: siblings that came in another order are summed in another order."""


def committed(folder: Path) -> Rows:
    """Every committed turn, with the time it was noted at, and every grant; nothing where there is no run."""
    if not (folder / FILE).is_file():
        return {}
    address = f"{(folder / FILE).absolute().as_uri()}?mode=ro"
    with (
        boundary(RunFolderError, sqlite3.Error, what=f"run {folder} cannot be read"),
        closing(sqlite3.connect(address, uri=True)) as sql,
    ):
        rows = [*sql.execute(_TURNS), *sql.execute(_GRANTS)]
    return {row[:3]: row[3:] for row in rows}


def changed(before: Rows, after: Rows) -> list[str]:
    """What was committed before a kill and is not as it was: played again, granted again, or lost."""
    other = [place for place in before if after.get(place) != before[place]]
    return [f"{p} was committed and is {'changed' if p in after else 'gone'}" for p in other]


def unsound(store: Store) -> list[str]:
    """What does not hold of a finished run: every step closed, every granted rollout settled once, the ledger
    equal to what its turns cost."""
    found = [] if store.status is RunStatus.FINISHED else [f"the run says {store.status}"]
    for record in store.steps():
        known, forest = store.recover(record.step), store.forest(record.step)
        where = f"step {record.step}"
        if record.closed_at is None or known is None:
            found.append(f"{where} was not closed")
            continue
        answers = [item for _, answer in known.events for item in answer]
        grants = {g.number: g.count for g in (*known.grants, *answers) if isinstance(g, Grant)}
        trees = {tree.index: tree for tree in forest.trees}
        settled = Counter(
            trees[event.tree].rollouts[event.rollout].grant if isinstance(event, EpisodeDone) else event.grant
            for event, _ in known.events
            if isinstance(event, EpisodeDone | GrantFailed)
        )
        if any(isinstance(item, Cancel) for item in answers):
            found.append(f"{where} cancelled grants, which this check knows nothing of")
        if settled != grants:
            found.append(f"{where}: granted {grants}, settled {dict(settled)}")
        if any(rollout.stop is None for tree in forest.trees for rollout in tree.rollouts):
            found.append(f"{where}: a rollout has not ended")
        turns = [turn for tree in forest.trees for turn in tree.turns[1:]]
        booked = store.ledger()[record.step]
        spent = sum(rollout.spent for tree in forest.trees for rollout in tree.rollouts)
        sums = (sum(turn.cost.decoded for turn in turns), len(turns), spent)
        if (booked.decoded, booked.steps, booked.trajectories) != sums:
            found.append(f"{where}: the ledger says {booked}, the turns say {sums}")
    return found


def differing(store: Store, undisturbed: Store) -> list[str]:
    """Where a finished run differs from one of the same configuration that was never killed: in the tasks
    that were drawn, in what was played, in the weights that came of it."""
    found = []
    steps = [[record.step for record in each.steps()] for each in (store, undisturbed)]
    if steps[0] != steps[1]:
        return [f"steps {steps[0]}, undisturbed {steps[1]}"]
    for step in steps[0]:
        pools = [known.tasks for each in (store, undisturbed) if (known := each.recover(step))]
        if pools[0] != pools[1]:
            found.append(f"step {step}: a task was skipped or repeated")
        if shape(store.forest(step)) != shape(undisturbed.forest(step)):
            found.append(f"step {step}: something else was played")
    reports = [each.metrics(0).get("report") for each in (store, undisturbed)]
    if reports[0] is not None and reports[1] is not None:
        for name in ("success", "by", "pass_at", "episodes", "stops", "checks"):
            if reports[0][name] != reports[1][name]:
                found.append(f"the report's {name} is {reports[0][name]}, undisturbed {reports[1][name]}")
    return found + _weights_differ(store, undisturbed)


def shape(forest: Forest) -> list[Any]:
    """A forest but for time, caches, and the order in which siblings came in."""

    def below(tree: RolloutTree, children: list[list[int]], node: int) -> Any:
        turn = tree.turns[node]
        ends = sorted(str(record.stop) for record in tree.rollouts if record.tip == node)
        mine = (turn.text, turn.observation, turn.action_ids.tolist(), turn.policy_version, ends)
        return (mine, sorted((below(tree, children, child) for child in children[node]), key=repr))

    return [(tree.task.key, below(tree, tree.children(), 0)) for tree in forest.trees]


def _weights_differ(store: Store, undisturbed: Store) -> list[str]:
    made = [each.checkpoints() for each in (store, undisturbed)]
    if not made[0] and not made[1]:
        return []
    if len(made[0]) != len(made[1]):
        return [f"{len(made[0])} checkpoints, undisturbed {len(made[1])}"]
    from safetensors.numpy import load_file

    mine, other = (load_file(each[-1][1].path / "model.safetensors") for each in made)
    gaps = {name: float(np.abs(mine[name] - other[name]).max()) for name in other}
    return [f"the weights {name} differ by {gap:.2g}" for name, gap in gaps.items() if not gap <= CLOSE]
