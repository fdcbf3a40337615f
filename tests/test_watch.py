"""The stale-weights drill: weight updates skipped or corrupted on purpose stop a run within a step."""

import asyncio

import pytest
import torch

from tests.loop_files.runs import SUITE, Listening
from trace_gym.core.budget import Budget
from trace_gym.core.errors import TrainingHalted
from trace_gym.core.task import Split
from trace_gym.environment.registry import suite
from trace_gym.evaluate import EvalConfig
from trace_gym.loop import TrainingRun
from trace_gym.model.load import load_model, load_weights
from trace_gym.outfit import Limits, LoopConfig, Parts
from trace_gym.parts import make_renderer, make_scheduler
from trace_gym.rollout.model_agent import ModelAgent
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.rollout.policy_torch import TorchPolicy
from trace_gym.rollout.stream import Source, TaskStream
from trace_gym.store import RunStatus, Store
from trace_gym.train.config import TrainConfig
from trace_gym.train.trainer import Trainer
from trace_gym.train.watchdog import WatchConfig, Watchdogs
from trace_gym.warm import WarmConfig, warm_tiny

STEPS = 3


class Silent(TorchPolicy):
    """Takes no weights, and says that it did."""

    async def load(self, checkpoint):
        self._version = checkpoint.version


class Late(TorchPolicy):
    """Takes no weights."""

    async def load(self, checkpoint):
        pass


class Torn(TorchPolicy):
    """Takes the weights but for one layer, as if a shard had been lost."""

    async def load(self, checkpoint):
        layer = self.model.model.base_model.layers[0].mlp.down_proj
        kept = layer.weight.detach().clone()
        await super().load(checkpoint)
        with torch.no_grad():
            layer.weight.copy_(kept.roll(1, dims=0))


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A barely trained model of the easy suite: it fails about as often as it succeeds."""
    warm = WarmConfig(hidden=32, layers=1, demos=60, steps=25, batch_tokens=512, lr=1e-2)
    quiet = Listening()
    return warm_tiny(
        [suite(SUITE)],
        warm,
        cache=tmp_path_factory.mktemp("cache"),
        note=quiet.note,
        progress=quiet.warming,
    )


def run(folder, start, kind, **watched):
    """Up to three steps of training with a policy of that kind; the store's metrics, and what was told."""
    easy, told = suite(SUITE), Listening()
    loaded = load_model(start, dtype="float32")
    config = WatchConfig(**watched)
    with kind(loaded) as policy, Store.create(folder, kind="train", config={}) as store:
        parts = Parts(
            stream=TaskStream([Source(easy.name, easy.tasks(Split.TRAIN), 1.0, 0.0)], 0),
            suites={easy.name: easy},
            agent=ModelAgent(
                policy,
                make_renderer("compact", loaded.tokenizer),
                tokenizer=loaded.tokenizer,
                max_tokens=8,
            ),
            policy=policy,
            trainer=Trainer(
                load_weights(loaded.path, dtype=torch.float32), TrainConfig(lr=1e-3), source=loaded.path
            ),
            scheduler=make_scheduler("uniform", {"n": 4}, seed=0),
            predictor=None,
            collecting=CollectorConfig(seed=0, workers=8, turn_tokens=8, training=True),
            eval_suites=[],
            eval_config=EvalConfig(),
            renderer="compact",
            temperature=1.0,
            watchdogs=Watchdogs(config),
        )
        limits = Limits(trajectories=24, tokens=None, seconds=None, usd=None)
        loop = LoopConfig(steps=STEPS, pool=6, step=limits)
        training = TrainingRun(parts, store, Budget(), config=loop, reporter=told)
        try:
            asyncio.run(training.go())
            halted = None
        except TrainingHalted as error:
            halted = str(error)
        steps = {record.step: store.metrics(record.step) for record in store.steps()}
        finished = store.status is RunStatus.FINISHED
    return halted, steps, told, finished


def test_a_sound_run_is_let_through_with_its_distance_measured(tmp_path, start):
    halted, steps, told, finished = run(tmp_path / "run", start, TorchPolicy)
    assert halted is None
    assert finished
    assert sorted(steps) == list(range(STEPS))
    for metrics in steps.values():
        assert metrics["watch/parity_gap"] < 1e-4
        assert metrics["watch/parity_version_gap"] == 0.0
        assert metrics["train/logprob_gap"] < 1e-4
    assert not [note for note in told.notes if "nats" in note]
    assert sum(metrics["train/optimiser_steps"] for metrics in steps.values()) > 0


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Silent, "does not compute with the weights"),
        (Torn, "does not compute with the weights"),
        (Late, "the weights did not arrive"),
    ],
)
def test_weights_that_do_not_arrive_stop_the_run_within_a_step(tmp_path, start, kind, reason):
    halted, steps, _, finished = run(tmp_path / "run", start, kind)
    assert halted is not None
    assert reason in halted
    assert not finished
    first = min(step for step, m in steps.items() if kind is Torn or m["train/optimiser_steps"])
    assert sorted(steps) == list(range(first + 1)), "the step whose update was lost is the last"
    assert halted.startswith(f"step {first}: ")


def test_told_to_warn_the_run_goes_on_and_says_why(tmp_path, start):
    halted, steps, told, finished = run(tmp_path / "run", start, Torn, parity="warn", drift="off")
    assert halted is None
    assert finished
    assert len(steps) == STEPS
    assert [note for note in told.notes if "does not compute with the weights" in note]


def test_drift_tells_of_contexts_that_are_not_those_that_were_sampled(tmp_path, start):
    halted, steps, _, _ = run(tmp_path / "run", start, Torn, parity="off", drift="stop")
    assert halted is not None
    assert "not the tokens, contexts or temperature" in halted
    assert len(steps) == 2
