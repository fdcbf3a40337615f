"""Whole training runs with a tiny model: what they leave behind, and that dying anywhere changes nothing."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from trace_gym.assemble import recorded, train, train_in
from trace_gym.config import dump, load
from trace_gym.core.budget import FREE
from trace_gym.core.errors import BadConfig, RunFolderError, UnknownName
from trace_gym.core.scheduler import Cancel, EpisodeDone, Grant, GrantFailed, TurnDone
from trace_gym.core.task import Split
from trace_gym.environment.registry import suite
from trace_gym.store import FILE, RunStatus, Store
from trace_gym.store.database import Database

SUITE = f"{Path(__file__).with_name('loop_files') / 'easy.py'}:Easy"
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
    "warmstart.steps=60",
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


class Died(BaseException):
    """The process is taken to have died here."""


class Mortal(Database):
    """A run file whose process dies at the write number `at` (from 1), before it or after its commit; nothing
    is written from then on. `written` are the names of the writes so far."""

    at, after, dead = 0, False, False

    @contextmanager
    def writing(self, what):
        self.written = [*getattr(self, "written", []), what]
        fatal = len(self.written) == self.at
        if self.dead or (fatal and not self.after):
            self.dead = True
            raise Died
        with super().writing(what) as sql:
            yield sql
        if fatal:
            self.dead = True
            raise Died


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def config():
    return load("guess", SMALL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, config, cache):
    """A run that nothing disturbed, and what its narrator was told."""
    folder, told = tmp_path_factory.mktemp("whole") / "run", Listening()
    with Store.create(folder, kind="train", config=config.model_dump(mode="json", exclude_none=True)):
        pass
    database = Mortal.open(folder)
    with Store(database, clock=lambda: 0.0) as store:
        told.outcome = train_in(store, config, narrator=told, cache=cache)
    told.written = database.written
    return folder, told


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
        assert store.ledger()[record.step].decoded == sum(len(turn.action_ids) for turn in turns)
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


def test_a_run_leaves_metrics_checkpoints_evaluations_and_a_true_ledger(whole, config):
    folder, told = whole
    with Store.open(folder, read_only=True) as store:
        assert_sound(store)
        assert told.outcome.reason == "all steps done"
        assert told.outcome.cost == store.cost()
        assert store.cost().trajectories == 2 * 12
        assert set(told.outcome.reports) == set(told.reports) == {0, 2}
        assert {report.tasks for report in told.reports.values()} == {3}
        for step in (0, 1):
            assert store.metrics(step) == told.metrics[step]
            assert store.metrics(step)["turns"] == store.ledger()[step].steps
            assert store.metrics(step)["leaves"] == 12.0
        assert sum(store.metrics(step)["train/optimiser_steps"] for step in (0, 1)) > 0
        held_out = {task.key for task in suite(SUITE).tasks(Split.TEST)}
        assert [access.purpose for access in store.accesses()] == [
            "evaluation after 0 steps",
            "evaluation after 2 steps",
        ]
        assert all(len(access.tasks) == 3 and set(access.tasks) <= held_out for access in store.accesses())
        _, checkpoint = store.checkpoints()[-1]
        model = AutoModelForCausalLM.from_pretrained(checkpoint.path)
        for name, weight in weights(store).items():
            assert torch.equal(model.state_dict()[name], weight)
        for step, report in told.reports.items():
            with Store.open(folder / "eval" / f"step-{step:05d}", read_only=True) as evaluation:
                assert evaluation.status is RunStatus.FINISHED
                assert len(list(evaluation.episodes())) == report.episodes


def test_a_finished_run_that_is_resumed_plays_nothing_and_reports_everything(tmp_path, whole, config, cache):
    folder, told = whole
    shutil.copytree(folder, tmp_path / "run")
    again = Listening()
    outcome = train(config, tmp_path / "run", resume=True, narrator=again, cache=cache)
    assert not again.heard
    assert outcome.cost == told.outcome.cost
    assert outcome.reports == told.outcome.reports
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert len(store.accesses()) == 2


def test_a_learning_rate_of_zero_changes_nothing(tmp_path, cache):
    config = load("guess", (*SMALL, "train.lr=0.0", "predictor.name=beta", "train.epochs=1"))
    outcome = train(config, tmp_path / "run", narrator=Listening(), cache=cache)
    (start,) = (cache / "tiny").glob("easy-*")
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert sum(store.metrics(step)["train/optimiser_steps"] for step in (0, 1)) > 0
        after = weights(store)
    before = load_file(start / "model.safetensors")
    assert all(torch.equal(before[name].float(), weight) for name, weight in after.items())
    assert outcome.reports[0].success == outcome.reports[2].success
    assert outcome.reports[0].stops == outcome.reports[2].stops


def test_no_more_checkpoints_are_kept_than_asked_for_even_without_progress(tmp_path, cache):
    more = ("run.steps=4", "run.keep=1", "scheduler.name=uniform", "scheduler.options={n=1}")
    train(load("guess", (*SMALL, *more)), tmp_path / "run", narrator=Listening(), cache=cache)
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["step-00003", "step-00003.loop.pt"]


def test_the_run_stops_when_its_purse_is_empty(tmp_path, cache):
    config = load("guess", (*SMALL, "run.steps=9", "budget.trajectories=18"))
    outcome = train(config, tmp_path / "run", narrator=Listening(), cache=cache)
    assert (outcome.reason, outcome.steps) == ("the budget is spent", 2)
    assert outcome.cost.trajectories <= 18


def cut_and_resumed(folder, whole, config, cache, *, at, after):
    undisturbed, _ = whole
    with Store.create(folder, kind="train", config=config.model_dump(mode="json", exclude_none=True)):
        pass
    database, first, second = Mortal.open(folder), Listening(), Listening()
    database.at, database.after = at, after
    with Store(database, clock=lambda: 0.0) as store, pytest.raises(Died):
        train_in(store, config, narrator=first, cache=cache)
    train(config, folder, resume=True, narrator=second, cache=cache)
    assert not set(first.heard) & set(second.heard), "what is finished is not played again"
    with Store.open(folder, read_only=True) as store, Store.open(undisturbed, read_only=True) as other:
        assert_same(store, other)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("what", ["a checkpoint", "the end of step 0", "the pool of step 1"])
def test_dying_between_steps_changes_nothing(tmp_path, whole, config, cache, what, after):
    at = whole[1].written.index(what) + 1
    cut_and_resumed(tmp_path / "run", whole, config, cache, at=at, after=after)


@pytest.mark.slow
def test_dying_at_any_write_changes_nothing(tmp_path, whole, config, cache):
    for at in range(1, len(whole[1].written) + 1, 5):
        cut_and_resumed(tmp_path / f"{at}", whole, config, cache, at=at, after=bool(at % 2))


def test_a_failed_run_says_so_and_can_be_resumed(tmp_path, config, cache):
    class Failing(Listening):
        def step_done(self, step, metrics):
            raise KeyError("a reporter's bug")

    with pytest.raises(KeyError):
        train(config, tmp_path / "run", narrator=Failing(), cache=cache)
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert store.status is RunStatus.FAILED
    outcome = train(config, tmp_path / "run", resume=True, narrator=Listening(), cache=cache)
    assert set(outcome.reports) == {0, 2}
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert_sound(store)


def test_only_the_run_that_was_started_is_resumed(tmp_path, whole, config, cache):
    folder, _ = whole
    other = load("guess", (*SMALL, "train.lr=2e-3"))
    with pytest.raises(RunFolderError, match="another configuration"):
        train(other, folder, resume=True, narrator=Listening(), cache=cache)
    evaluation = folder / "eval" / "step-00000"
    with pytest.raises(RunFolderError, match="of kind 'eval'"):
        train(config, evaluation, resume=True, narrator=Listening(), cache=cache)
    with pytest.raises(RunFolderError, match="of kind 'eval'"):
        recorded(evaluation)
    with pytest.raises(RunFolderError, match="holds a run already"):
        train(config, folder, narrator=Listening(), cache=cache)
    with pytest.raises(RunFolderError, match="holds no run"):
        train(config, tmp_path / "none", resume=True, narrator=Listening(), cache=cache)
    assert recorded(folder) == config
    with Store.open(folder, read_only=True) as store:
        assert store.status is RunStatus.FINISHED


@pytest.mark.parametrize(
    ("override", "error"),
    [("agent.temperature=0.0", BadConfig), ("scheduler.options={rots=2}", UnknownName)],
)
def test_a_wrong_configuration_leaves_no_folder(tmp_path, cache, override, error):
    config = load("guess", (*SMALL, override))
    with pytest.raises(error):
        train(config, tmp_path / "run", narrator=Listening(), cache=cache)
    assert not (tmp_path / "run").exists()


def test_a_tiny_model_of_an_impossible_shape_is_refused(tmp_path):
    config = load("guess", (*SMALL, "warmstart.heads=1"))
    with pytest.raises(BadConfig, match="section 'warmstart'"):
        train(config, tmp_path / "run", narrator=Listening(), cache=tmp_path / "cache")


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path, cache):
    config = load("guess", (*SMALL, "run.steps=8"))
    train(config, tmp_path / "whole", narrator=Listening(), cache=cache)
    (tmp_path / "run.toml").write_text(dump(config))
    folder, rng, kills, code = tmp_path / "run", random.Random(0), 0, None
    while code is None:
        started = (folder / FILE).exists()
        how = ("--resume",) if started else (str(tmp_path / "run.toml"),)
        with subprocess.Popen(
            [sys.executable, "-m", "trace_gym.cli", "train", *how, "--out", str(folder)],
            env={**os.environ, "TRACE_GYM_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            heading = process.stderr.readline()
            assert b"run folder" in heading, heading + process.stderr.read()
            try:
                _, said = process.communicate(timeout=rng.uniform(0.0, 1.2) if kills < 20 else 60.0)
                code = process.returncode
                assert code == 0, said
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
    assert kills > 3
    with Store.open(folder, read_only=True) as store, Store.open(tmp_path / "whole", read_only=True) as other:
        assert_same(store, other)
