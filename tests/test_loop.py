"""Whole training runs with a tiny model: what they leave behind, and that dying anywhere changes nothing."""

import json
import shutil
import sqlite3
from contextlib import closing, contextmanager

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.loop_files.runs import SMALL, SUITE, Listening, assert_same, assert_sound, shape, weights
from trace_gym.assemble import check, recorded, train, train_in
from trace_gym.config import load, moved
from trace_gym.core.episode import Actor, StopReason
from trace_gym.core.errors import BadConfig, RunFolderError, UnknownName
from trace_gym.core.task import Split
from trace_gym.environment.registry import suite
from trace_gym.model.load import load_model
from trace_gym.store import FILE, RunStatus, Store
from trace_gym.store.database import Database
from trace_gym.train.credit import credit


class Died(BaseException):
    """The process is taken to have died here."""


class Mortal(Database):
    """A run file whose process dies at the write number `at` (from 1) or that of a name, before it or after
    its commit; nothing is written from then on. `written` are the names of the writes so far."""

    at, named, after, dead = 0, "", False, False

    @contextmanager
    def writing(self, what):
        self.written = [*getattr(self, "written", []), what]
        fatal = len(self.written) == self.at or what == self.named
        if self.dead or (fatal and not self.after):
            self.dead = True
            raise Died
        with super().writing(what) as sql:
            yield sql
        if fatal:
            self.dead = True
            raise Died


class DyingAfter(Listening):
    """Takes the process to have died once a step is done."""

    def __init__(self, step, database):
        super().__init__()
        self.last, self.database = step, database

    def step_done(self, step, metrics):
        super().step_done(step, metrics)
        if step == self.last:
            self.database.dead = True
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


def test_steps_without_contrast_keep_the_weights_and_are_resumed_all_the_same(tmp_path, cache):
    lone = load("guess", (*SMALL, "scheduler.name=uniform", "scheduler.options={n=1}", "run.steps=4"))
    folder, whole = tmp_path / "run", tmp_path / "whole"
    with Store.create(folder, kind="train", config=lone.model_dump(mode="json", exclude_none=True)):
        pass
    database = Mortal.open(folder)
    with Store(database, clock=lambda: 0.0) as store, pytest.raises(Died):
        train_in(store, lone, narrator=DyingAfter(2, database), cache=cache)
    with Store.open(folder, read_only=True) as store:
        assert [store.metrics(step)["train/skipped"] for step in range(3)] == [1.0, 1.0, 1.0]
        assert ["watch/parity_gap_max" in store.metrics(step) for step in range(3)] == [True, False, False]
        ((step, kept),) = store.checkpoints()
    assert (step, kept.version, kept.path.name) == (2, 0, "step-00000")
    assert {entry.name for entry in kept.path.parent.iterdir()} == {"step-00000", "step-00002.loop.pt"}
    told = Listening()
    train(lone, folder, resume=True, narrator=told, cache=cache)
    assert "resumed after step 2" in told.notes
    train(lone, whole, narrator=Listening(), cache=cache)
    with Store.open(folder, read_only=True) as cut, Store.open(whole, read_only=True) as straight:
        for step in range(4):
            assert shape(cut.forest(step)) == shape(straight.forest(step))


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
    assert names == ["step-00000", "step-00003.loop.pt"]


def test_the_run_stops_when_its_purse_is_empty(tmp_path, cache):
    config = load("guess", (*SMALL, "run.steps=9", "budget.trajectories=18"))
    outcome = train(config, tmp_path / "run", narrator=Listening(), cache=cache)
    assert (outcome.reason, outcome.steps) == ("the budget is spent", 2)
    assert outcome.cost.trajectories <= 18


@pytest.mark.parametrize("ahead", [(), ("run.max_staleness=2", "train.correction=tis")])
def test_a_rest_of_the_purse_that_pays_for_no_rollout_ends_the_run(tmp_path, cache, ahead):
    """Of 26 trajectories two steps of 12 are played; TRACE grants nothing for less than 6."""
    config = load("guess", (*SMALL, "run.steps=9", "budget.trajectories=26", *ahead))
    folder, told, again = tmp_path / "run", Listening(), Listening()
    outcome = train(config, folder, narrator=told, cache=cache)
    rest = "what is left of the budget pays for no rollout"
    assert (outcome.reason, outcome.steps, outcome.cost.trajectories) == (rest, 2, 24)
    assert set(outcome.reports) == {0, 2}, "evaluated at its end as any run is"
    assert set(told.metrics) == {0, 1}
    with Store.open(folder, read_only=True) as store:
        assert_sound(store)
        assert [record.step for record in store.steps()] == [0, 1]
        assert store.checkpoints()[-1][0] == 1
    assert train(config, folder, resume=True, narrator=again, cache=cache) == outcome
    assert not again.heard
    with Store.open(folder, read_only=True) as store:
        assert_sound(store)
        assert [record.step for record in store.steps()] == [0, 1]


@pytest.mark.parametrize("after", [False, True])
def test_a_run_cut_where_its_rest_pays_for_nothing_comes_to_the_same_end(tmp_path, cache, after):
    config = load("guess", (*SMALL, "run.steps=9", "budget.trajectories=14"))
    folder, first = tmp_path / "run", Listening()
    with Store.create(folder, kind="train", config=config.model_dump(mode="json", exclude_none=True)):
        pass
    database = Mortal.open(folder)
    database.named, database.after = "the withdrawal of step 1", after
    with Store(database, clock=lambda: 0.0) as store, pytest.raises(Died):
        train_in(store, config, narrator=first, cache=cache)
    with Store.open(folder, read_only=True) as store:
        assert [record.step for record in store.steps()] == ([0] if after else [0, 1])
    outcome = train(config, folder, resume=True, narrator=Listening(), cache=cache)
    rest = "what is left of the budget pays for no rollout"
    assert (outcome.reason, outcome.steps, set(outcome.reports)) == (rest, 1, {0, 1})
    with Store.open(folder, read_only=True) as store:
        assert_sound(store)
        assert [record.step for record in store.steps()] == [0]


@pytest.mark.parametrize(
    ("name", "key", "least"), [("uniform", "step_trajectories", 8), ("trace", "trajectories", 6)]
)
def test_a_budget_that_pays_for_no_rollout_at_all_is_refused_with_the_least_that_does(name, key, least):
    method = (f"scheduler.name={name}", "scheduler.options={}")
    check(load("guess", (*SMALL, *method, f"budget.{key}={least}")))
    says = rf"budget\.{key} = {least - 1} pays for no rollout of scheduler '{name}', .* at least {least}$"
    with pytest.raises(BadConfig, match=says):
        check(load("guess", (*SMALL, *method, f"budget.{key}={least - 1}")))


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


def test_a_run_that_goes_on_elsewhere_is_the_same_run(tmp_path, whole, config, cache):
    folder = tmp_path / "run"
    with Store.create(folder, kind="train", config=config.model_dump(mode="json", exclude_none=True)):
        pass
    database = Mortal.open(folder)
    with Store(database, clock=lambda: 0.0) as store, pytest.raises(Died):
        train_in(store, config, narrator=DyingAfter(0, database), cache=cache)
    elsewhere = moved(recorded(folder), ["run.workers=3"])
    train(elsewhere, folder, resume=True, narrator=Listening(), cache=cache)
    assert recorded(folder) == config, "it still knows how it was started"
    with Store.open(folder, read_only=True) as store, Store.open(whole[0], read_only=True) as other:
        assert_same(store, other)


@pytest.mark.parametrize("replay", [(), ("train.replay=2", "train.old_logprobs=behaviour")])
def test_with_one_worker_a_resumed_run_ends_with_the_same_bits(tmp_path, cache, replay):
    """Optimiser, scheduler, predictor, task stream and draws go on exactly where they stood: with rollouts
    played one after the other nothing is summed in another order, so weights are equal to the last bit. What
    is replayed comes from the journal then."""
    alone = ("run.workers=1", "run.steps=3", "eval.tasks=1", "train.minibatches=2")
    config = load("guess", (*SMALL, *alone, *replay))
    plain = tmp_path / "plain"
    train(config, plain, narrator=Listening(), cache=cache)
    folder = tmp_path / "cut"
    with Store.create(folder, kind="train", config=config.model_dump(mode="json", exclude_none=True)):
        pass
    database = Mortal.open(folder)
    with Store(database, clock=lambda: 0.0) as store, pytest.raises(Died):
        train_in(store, config, narrator=DyingAfter(1, database), cache=cache)
    train(config, folder, resume=True, narrator=Listening(), cache=cache)
    with Store.open(folder, read_only=True) as store, Store.open(plain, read_only=True) as other:
        assert [record.step for record in store.steps()] == [0, 1, 2]
        assert all(torch.equal(weight, weights(other)[name]) for name, weight in weights(store).items())
        paths = [each.checkpoints()[-1][1].path for each in (store, other)]
        left, right = (torch.load(path / "trainer.pt", weights_only=True) for path in paths)
        assert left["steps"] == right["steps"] > 0
        for number, moments in left["optimizer"]["state"].items():
            for name, value in moments.items():
                assert torch.equal(value, right["optimizer"]["state"][number][name])
        loops = [torch.load(path.with_suffix(".loop.pt"), weights_only=True) for path in paths]
        assert loops[0] == loops[1]
        played = [[shape(each.forest(step)) for step in range(3)] for each in (store, other)]
        assert played[0] == played[1]
        assert bool(store.metrics(2)["train/replayed_trees"]) is bool(replay)


def test_prompts_that_are_shown_a_solution_are_trained_on_from_where_the_policy_went_on(tmp_path, cache):
    """Every prompt counts as hopeless: half of them are guided. The run is cut and resumed in between."""
    guided = "scheduler.options={guide_share=0.5, guide_below=1.0, guide_continuations=2}"
    config = load("guess", (*SMALL, guided, "run.steps=3"))
    folder, told = tmp_path / "run", Listening()
    with Store.create(folder, kind="train", config=config.model_dump(mode="json", exclude_none=True)):
        pass
    database = Mortal.open(folder)
    with Store(database, clock=lambda: 0.0) as store, pytest.raises(Died):
        train_in(store, config, narrator=DyingAfter(0, database), cache=cache)
    train(config, folder, resume=True, narrator=told, cache=cache)
    with Store.open(folder, read_only=True) as store:
        assert_sound(store)
        trees = [tree for step in range(3) for tree in store.forest(step).trees]
    shown = [tree for tree in trees if tree.rollouts[0].stop is StopReason.SHOWN]
    assert shown
    for tree in shown:
        turns = [tree.turns[node] for node in tree.path(tree.rollouts[0].tip)]
        assert all(turn.actor is Actor.ORACLE and len(turn.action_ids) for turn in turns)
        assert not any(turn.logprobs.any() or turn.cost.decoded for turn in turns)
        own = [node for leaf in tree.leaves() for node in tree.path(leaf)]
        assert all(tree.turns[node].actor is Actor.POLICY for node in own if tree.turns[node].rollout)
        (credited,) = credit([tree], advantage="drgrpo")
        assert not any(credited.weight[node] for node in tree.path(tree.rollouts[0].tip))
    assert sum(told.metrics[step]["schedule/guided"] for step in (1, 2)) > 0
    assert any(tree.leaves() for tree in shown), "an oracle that needs two turns or more is gone on from"


def test_steps_played_ahead_train_on_tokens_no_older_than_allowed(tmp_path, cache):
    config = load("guess", (*SMALL, "run.steps=4", "run.max_staleness=1", "train.correction=tis"))
    told = Listening()
    train(config, tmp_path / "run", narrator=told, cache=cache)
    ages = [told.metrics[step]["train/staleness"] for step in range(4)]
    assert ages[0] == 0.0
    assert max(ages) == 1.0, told.notes
    assert not [note for note in told.notes if "old" in note or "nats off" in note]
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert_sound(store)


def test_a_run_cut_while_it_played_ahead_loses_and_doubles_nothing(tmp_path, cache):
    config = load("guess", (*SMALL, "run.steps=4", "run.max_staleness=2", "train.correction=tis"))
    folder, second = tmp_path / "run", Listening()
    with Store.create(folder, kind="train", config=config.model_dump(mode="json", exclude_none=True)):
        pass
    database = Mortal.open(folder)
    first = DyingAfter(0, database)
    with Store(database, clock=lambda: 0.0) as store, pytest.raises(Died):
        train_in(store, config, narrator=first, cache=cache)
    with Store.open(folder, read_only=True) as store:
        assert len(store.steps()) > 1, "a later step was under way"
    train(config, folder, resume=True, narrator=second, cache=cache)
    assert not set(first.heard) & set(second.heard)
    with Store.open(folder, read_only=True) as store:
        assert_sound(store)
        assert [record.step for record in store.steps()] == [0, 1, 2, 3]


def test_playing_ahead_without_a_correction_is_refused():
    with pytest.raises(BadConfig, match=r"set train\.correction"):
        check(load("guess", (*SMALL, "run.max_staleness=1")))


@pytest.mark.slow
def test_dying_at_any_write_changes_nothing(tmp_path, whole, config, cache):
    for at in range(1, len(whole[1].written) + 1, 5):
        cut_and_resumed(tmp_path / f"{at}", whole, config, cache, at=at, after=bool(at % 2))


def test_a_failed_run_says_so_and_resumed_it_still_writes_whole_checkpoints(tmp_path, cache):
    class Failing(Listening):
        def step_done(self, step, metrics):
            raise KeyError("a reporter's bug")

    config = load("guess", (*SMALL, "run.steps=4", "run.keep=1"))
    with pytest.raises(KeyError):
        train(config, tmp_path / "run", narrator=Failing(), cache=cache)
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert store.status is RunStatus.FAILED
    outcome = train(config, tmp_path / "run", resume=True, narrator=Listening(), cache=cache)
    assert set(outcome.reports) == {0, 4}
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert_sound(store)
        _, checkpoint = store.checkpoints()[-1]
    assert [path for path in checkpoint.path.parent.iterdir() if path.is_dir()] == [checkpoint.path]
    assert load_model(checkpoint.path).tokenizer.encode("guess 3")


def test_only_the_run_that_was_started_is_resumed(tmp_path, whole, config, cache):
    folder, _ = whole
    other = load("guess", (*SMALL, "train.lr=2e-3"))
    with pytest.raises(RunFolderError, match=r"another configuration.*a changed train\.lr$"):
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


def test_a_run_of_an_older_version_whose_configuration_lacks_later_keys_is_resumed(
    tmp_path, whole, config, cache
):
    folder = tmp_path / "run"
    shutil.copytree(whole[0], folder)
    with closing(sqlite3.connect(folder / FILE)) as sql:
        ((text,),) = sql.execute("SELECT value FROM meta WHERE name = 'config'")
        older = json.loads(text)
        for key in ("discount", "replay", "replay_gains"):
            del older["train"][key]
        del older["cluster"]
        sql.execute("UPDATE meta SET value = ? WHERE name = 'config'", (json.dumps(older),))
        sql.commit()
    assert recorded(folder) == config
    outcome = train(recorded(folder), folder, resume=True, narrator=Listening(), cache=cache)
    assert outcome.reports == whole[1].outcome.reports
    later = load("guess", (*SMALL, "train.discount=0.25"))
    with pytest.raises(RunFolderError, match="another configuration"):
        train(later, folder, resume=True, narrator=Listening(), cache=cache)


@pytest.mark.parametrize(
    ("override", "error"),
    [
        (("agent.temperature=0.0",), (BadConfig, "agent.temperature 0 samples the same rollout")),
        (("scheduler.options={rots=2}",), (UnknownName, "'rots'.* did you mean 'roots'")),
        (("warmstart.heads=1",), (BadConfig, "section 'warmstart': no room .* it takes 3 heads or more")),
        (
            ("warmstart.heads=3",),
            (BadConfig, "section 'warmstart': hidden must be an even multiple of heads"),
        ),
        (("warmstart.hidden=64", "warmstart.heads=2"), (BadConfig, "no room .* it takes 3 heads or more")),
        (("warmstart.suites=nope",), (UnknownName, r"warmstart\.suites: unknown suite 'nope'")),
        (("warmstart.suites=guess?size",), (BadConfig, r"warmstart\.suites: .* ?key=value")),
        (("warmstart.shares=[1,2]",), (BadConfig, r"warmstart\.shares has one number a suite shown; got 2")),
        (("agent.renderer=compac",), (UnknownName, r"agent\.renderer 'compac'; did you mean 'compact'")),
        (("policy.device=gpu0",), (BadConfig, r"policy\.device = 'gpu0' is no device; say cpu, cuda or")),
        (
            ("scheduler.options={floors={eazy=0.5}}",),
            (UnknownName, r"suite of scheduler\.options\.floors 'eazy'; did you mean 'easy'"),
        ),
        (("cluster.replicas=true",), (BadConfig, r"set cluster\.address, or leave it out")),
        (("cluster.gpus=1",), (BadConfig, r"set cluster\.replicas = true, or leave it out")),
        (
            ("cluster.replicas=true", "cluster.address=auto", "policy.model=vllm:some/model"),
            (BadConfig, r"servers of its own; leave cluster\.replicas out"),
        ),
        (
            ("budget.step_trajectories=5",),
            (BadConfig, "pays for no rollout of scheduler .*, which needs at least"),
        ),
    ],
)
def test_a_wrong_configuration_is_told_and_leaves_no_folder(tmp_path, cache, override, error):
    config = load("guess", (*SMALL, *override))
    kind, says = error
    with pytest.raises(kind, match=says):
        check(config)
    with pytest.raises(kind, match=says):
        train(config, tmp_path / "run", narrator=Listening(), cache=cache)
    assert not (tmp_path / "run").exists()


def test_how_tiny_is_made_matters_to_no_other_model():
    assert check(load("guess", (*SMALL, "policy.model=smollm2", "warmstart.heads=3")))
