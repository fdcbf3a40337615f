"""Tiny training runs, who listens to them, and what must hold of a finished one."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trace_gym.core.budget import FREE
from trace_gym.core.episode import Actor
from trace_gym.core.scheduler import Cancel, EpisodeDone, Grant, GrantFailed, TurnDone
from trace_gym.store import RunStatus

SUITE = f"{Path(__file__).with_name('easy.py')}:Easy"
SMALL = (
    f"suites={SUITE}",
    "scheduler.name=trace",
    "scheduler.options={}",
    "predictor.name=value_head",
    "budget.step_trajectories=12",
    "run.pool=6",
    "eval.tasks=3",
    "train.lr=1e-3",
    "train.eps=1e-3",
    "warmstart.hidden=32",
    "warmstart.layers=1",
    "warmstart.demos=60",
    "warmstart.steps=25",
    "warmstart.batch_tokens=512",
    "warmstart.lr=1e-2",
)


class Listening:
    """A narrator that remembers what it was told; a turn or an end is named by step, task and number."""

    def __init__(self):
        self.step, self.metrics, self.reports, self.notes, self.heard = -1, {}, {}, [], []

    def event(self, tree, event):
        if isinstance(event, TurnDone):
            self.heard.append(("turn", self.step, tree.task.key, event.node))
        else:
            self.heard.append(("end", self.step, tree.task.key, event.rollout))

    def step_begins(self, step, budget):
        self.step = step

    def step_done(self, step, metrics):
        self.metrics[step] = metrics

    def evaluated(self, step, report):
        self.reports[step] = report

    def note(self, text):
        self.notes.append(text)

    def warming(self, step):
        self.notes.append(f"warming {step}")


def weights(store):
    return load_file(store.checkpoints()[-1][1].path / "model.safetensors")


def shape(forest):
    """A forest but for wall time, what was cached, and the order in which siblings came in."""

    def below(tree, children, node):
        turn = tree.turns[node]
        ends = sorted(str(record.stop) for record in tree.rollouts if record.tip == node)
        mine = (turn.text, turn.observation, turn.action_ids.tolist(), turn.policy_version, ends)
        return (mine, sorted((below(tree, children, child) for child in children[node]), key=repr))

    return [(tree.task.key, below(tree, tree.children(), 0)) for tree in forest.trees]


def assert_sound(store):
    """What holds for every finished run, however often it was cut."""
    assert store.status is RunStatus.FINISHED
    total = FREE
    for record in store.steps():
        assert record.closed_at is not None
        known, forest = store.recover(record.step), store.forest(record.step)
        answers = [item for _, answer in known.events for item in answer]
        assert not any(isinstance(item, Cancel) for item in answers)
        grants = {g.number: g.count for g in (*known.grants, *answers) if isinstance(g, Grant)}
        trees = {tree.index: tree for tree in forest.trees}
        settled = Counter(
            trees[event.tree].rollouts[event.rollout].grant if isinstance(event, EpisodeDone) else event.grant
            for event, _ in known.events
            if isinstance(event, EpisodeDone | GrantFailed)
        )
        assert settled == grants, "every granted rollout is settled, once"
        assert all(record.stop is not None for tree in forest.trees for record in tree.rollouts)
        turns = [turn for tree in forest.trees for turn in tree.turns]
        sampled = [len(turn.action_ids) for turn in turns if turn.actor is not Actor.ORACLE]
        assert store.ledger()[record.step].decoded == sum(sampled)
        assert store.ledger()[record.step].trajectories == sum(grants.values())
        total += sum((turn.cost for turn in turns), FREE)
    spent = store.cost()
    for unit in ("fresh", "cached", "decoded", "steps"):
        assert getattr(spent, unit) == getattr(total, unit)
    assert spent.seconds == pytest.approx(total.seconds)


def assert_same(store, undisturbed):
    """Two finished runs of one configuration played the same and learnt the same. Siblings that came in
    another order are summed in another order; with a large train.eps Adam does not blow that up."""
    assert_sound(store)
    assert [r.step for r in store.steps()] == [r.step for r in undisturbed.steps()]
    for record in store.steps():
        pools = [each.recover(record.step).tasks for each in (store, undisturbed)]
        assert pools[0] == pools[1], "no task is skipped or repeated"
        assert shape(store.forest(record.step)) == shape(undisturbed.forest(record.step))
    for name, weight in weights(undisturbed).items():
        torch.testing.assert_close(weights(store)[name], weight, atol=1e-5, rtol=0.0, msg=name)
