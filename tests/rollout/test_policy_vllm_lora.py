"""vLLM as a policy that takes adapters: what each version computes, what is in flight while they change, and
what happens when servers are gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from tests.loop_files.processes import wait_until
from tests.loop_files.runs import Listening, assert_sound
from tests.rollout.bridge import Bridge
from tests.rollout.test_policy_torch import WORDS, sample_all, teacher
from tests.rollout.test_policy_vllm import CONTEXT, EASY, ROUNDING, order, request
from trace_gym.assemble import train
from trace_gym.config import load
from trace_gym.core.errors import ModelFailed
from trace_gym.core.policy import Checkpoint, Completion, SampleRequest
from trace_gym.environment.registry import suite
from trace_gym.model.load import LoadedModel, load_model
from trace_gym.model.tiny import make_tiny
from trace_gym.rollout.policy_vllm import VllmPolicy
from trace_gym.rollout.vllm_dialect import PAUSE, RESUME
from trace_gym.rollout.vllm_fleet import VllmConfig
from trace_gym.store import Store
from trace_gym.testing.sampling import check_policy
from trace_gym.warm import WarmConfig, warm_tiny

pytestmark = [
    pytest.mark.needs("vllm", "peft"),
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]
RANK = 4


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model that plays a little, two folders with adapters of it, one with an adapter of another model, one
    of too high rank."""
    root = tmp_path_factory.mktemp("models")
    small = WarmConfig(layers=2, demos=60, steps=25, batch_tokens=512, lr=3e-3)
    told = Listening()
    warm = warm_tiny([suite(EASY)], small, cache=root, note=told.note, progress=told.warming)
    bases = {"base": warm, "other": make_tiny(root / "other", vocabulary=WORDS, seed=2)}
    made = (("one", "base", RANK), ("two", "base", RANK), ("strange", "other", RANK), ("high", "base", 16))
    adapted = {name: with_adapter(root / name, bases[of], rank=rank) for name, of, rank in made}
    return {"base": bases["base"], **adapted}


def with_adapter(folder: Path, base: Path, *, rank: int) -> Path:
    """A folder with a random adapter of the model in `base`, as peft writes it."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(load_model(base, device="cpu", dtype="float32").model, config)
    noise = torch.Generator().manual_seed(sum(folder.name.encode()))
    for name, weight in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.05, generator=noise)
    model.save_pretrained(folder / "adapter")
    return folder


@pytest.fixture(scope="module")
def server(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmPolicy]:
    """A policy whose server all tests here use."""
    log = tmp_path_factory.mktemp("vllm")
    config = VllmConfig(memory_gib=1, timeout_s=120, lora=True)
    with VllmPolicy(
        folders["base"], config, folder=log, dtype="float32", context_size=CONTEXT, rank=RANK
    ) as policy:
        yield policy


@pytest.fixture
def policy(server: VllmPolicy, folders: dict[str, Path]) -> VllmPolicy:
    """The same without an adapter."""
    asyncio.run(server.load(Checkpoint(folders["base"], 0)))
    return server


@cache
def loaded(folder: Path, base: Path) -> LoadedModel:
    """The model in `base` with the adapter in `folder`, if there is one, as peft computes it."""
    from peft import PeftModel

    plain = load_model(base, device="cpu", dtype="float32")
    if not (folder / "adapter").is_dir():
        return plain
    return LoadedModel(PeftModel.from_pretrained(plain.model, folder / "adapter"), plain.tokenizer, folder)


def gap(folders: dict[str, Path], name: str, asked: SampleRequest, got: Completion) -> float:
    """How far the log-probs of a completion are from those of the model with the adapter `name`."""
    model = loaded(folders[name], folders["base"])
    return float(np.abs(np.array(teacher(model, asked, got.token_ids.tolist())) - got.logprobs).max())


def adapters(policy: VllmPolicy) -> set[str]:
    """The adapters that the server knows."""
    assert policy.server is not None
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(policy.server.socket))) as client:
        return {each["id"] for each in client.get("http://vllm/v1/models").json()["data"]} - {"policy"}


def test_every_version_is_the_model_with_its_adapter(policy: VllmPolicy, folders: dict[str, Path]) -> None:
    requests = [request(i, length=3 + 7 * (i % 11), temperature=0.5 + 0.25 * (i % 4)) for i in range(12)]
    for version, name in enumerate(("base", "one", "two", "one", "base")):
        asyncio.run(policy.load(Checkpoint(folders[name], version)))
        found = asyncio.run(sample_all(policy, requests))
        assert {completion.version for completion in found} == {version}
        for asked, got in zip(requests, found, strict=True):
            assert gap(folders, name, asked, got) < ROUNDING


def test_no_adapter_finds_what_another_computed(policy: VllmPolicy, folders: dict[str, Path]) -> None:
    asked, cached = request(1, length=200), []
    for version, name in enumerate(("one", "two", "one", "base"), start=1):
        asyncio.run(policy.load(Checkpoint(folders[name], version)))
        cached += [asyncio.run(policy.sample(asked)).cached for _ in range(2)]
    assert cached[::2] == [0, 0, 0, 0]
    assert min(cached[1::2]) >= 160


@contextmanager
def held(policy: VllmPolicy) -> Iterator[None]:
    """While this lasts the server computes nothing: what it was asked for stays in flight."""
    order(policy, PAUSE)
    try:
        yield
    finally:
        order(policy, RESUME)


def test_requests_in_flight_keep_their_adapter(policy: VllmPolicy, folders: dict[str, Path]) -> None:
    names = ("base", "one", "two")

    async def over() -> list[tuple[SampleRequest, asyncio.Task[Completion]]]:
        asked: list[tuple[SampleRequest, asyncio.Task[Completion]]] = []
        with held(policy):
            for version, name in enumerate(names):
                await policy.load(Checkpoint(folders[name], version))
                fresh = [request(10 * version + i, length=40, max_tokens=200) for i in range(3)]
                asked += [(one, asyncio.create_task(policy.sample(one))) for one in fresh]
                await asyncio.sleep(0)
            known = await asyncio.to_thread(adapters, policy)
        await asyncio.gather(*(task for _, task in asked))
        assert len(known) == 2
        return asked

    for number, (one, task) in enumerate(asyncio.run(over())):
        got = task.result()
        assert (got.version, len(got.token_ids)) == (number // 3, 200)
        assert gap(folders, names[number // 3], one, got) < ROUNDING
    wait_until(lambda: len(adapters(policy)) == 1)


def test_an_update_waits_for_who_is_two_adapters_behind(policy: VllmPolicy, folders: dict[str, Path]) -> None:
    asked = request(1, length=40, max_tokens=200)

    async def over() -> tuple[Completion, list[bool], int]:
        ended: list[bool] = []
        with held(policy):
            await policy.load(Checkpoint(folders["one"], 1))
            old = asyncio.create_task(policy.sample(asked))
            await asyncio.sleep(0)
            await policy.load(Checkpoint(folders["two"], 2))
            loading = asyncio.create_task(policy.load(Checkpoint(folders["one"], 3)))
            loading.add_done_callback(lambda _: ended.append(old.done()))
            known = [len(await asyncio.to_thread(adapters, policy)) for _ in range(5)]
        await loading
        return await old, ended, max(known)

    old, ended, known = asyncio.run(over())
    assert (old.version, ended, known, policy.version) == (1, [True], 2, 3)
    assert gap(folders, "one", asked, old) < ROUNDING


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("strange", "it belongs to the model in .*other, and vLLM has the one in .*tiny"),
        ("high", "its rank is 16, and the server was started for at most 4"),
        ("none", "there is none in .*; train one"),
    ],
)
def test_adapters_that_do_not_fit_leave_the_old_one(
    policy: VllmPolicy, folders: dict[str, Path], wrong: str, why: str, tmp_path: Path
) -> None:
    asyncio.run(policy.load(Checkpoint(folders["one"], 1)))
    with pytest.raises(ModelFailed, match=f"cannot take the adapter from .*: {why}"):
        asyncio.run(policy.load(Checkpoint(folders.get(wrong, tmp_path), 2)))
    after = asyncio.run(policy.sample(request(1)))
    assert after.version == 1
    assert gap(folders, "one", request(1), after) < ROUNDING


def test_servers_that_are_there_all_get_it_or_none(
    policy: VllmPolicy, folders: dict[str, Path], bridge: Bridge, tmp_path: Path
) -> None:
    assert policy.server is not None
    asked = [request(i, length=30 + i) for i in range(8)]
    config = VllmConfig(base_url=(bridge.url,), retries=1, lora=True)
    with Bridge(policy.server.socket) as other:
        both = VllmConfig(base_url=(bridge.url, other.url), retries=1, lora=True)
        with VllmPolicy(folders["base"], both, folder=tmp_path, rank=16) as remote:
            asyncio.run(remote.load(Checkpoint(folders["one"], 1)))
            with pytest.raises(ModelFailed, match=r"HTTP 500.*LoRA rank 16 is greater than max_lora_rank 8"):
                asyncio.run(remote.load(Checkpoint(folders["high"], 2)))
            other.cut()
            with pytest.raises(ModelFailed, match=r"cannot give vLLM the adapter in .*in vain"):
                asyncio.run(remote.load(Checkpoint(folders["two"], 2)))
            assert len(adapters(policy)) == 1
            found = asyncio.run(sample_all(remote, asked))
        assert {completion.version for completion in found} == {1}
        assert max(gap(folders, "one", *pair) for pair in zip(asked, found, strict=True)) < ROUNDING
    assert not adapters(policy)
    asyncio.run(check_policy(VllmPolicy(folders["base"], config, folder=tmp_path)))


class Stopping(Listening):
    """Ends the run when step 1 begins."""

    def step_begins(self, step: int, budget: object) -> None:
        super().step_begins(step, budget)
        if step == 1:
            raise KeyboardInterrupt


def test_a_run_trains_adapters_that_vllm_samples_and_resumes(
    policy: VllmPolicy, folders: dict[str, Path], bridge: Bridge, tmp_path: Path
) -> None:
    config = load(
        None,
        [
            *(f"suites={EASY}", "run.steps=2", "run.pool=4", "budget.step_trajectories=12", "eval.tasks=1"),
            *(f"policy.model=vllm:{folders['base']}?base_url={bridge.url}&lora=true", "policy.dtype=float32"),
            *("agent.renderer=compact", "agent.max_tokens=4", "train.lr=1e-2", "predictor.name=beta"),
            *("scheduler.name=trace", "train.advantage=drgrpo", "train.kl=0.1", f"train.lora_rank={RANK}"),
            "run.seed=1",
        ],
    )
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", narrator=Stopping())
    train(config, tmp_path / "run", resume=True, narrator=Listening())
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert_sound(store)
        metrics = [store.metrics(step) for step in range(2)]
        newest = store.checkpoints()[-1][1]
    for found in metrics:
        assert found["watch/parity_gap_max"] < 1e-3
        assert found["watch/parity_version_gap"] == 0
        assert found["invalid"] == 0
    assert newest.version > 0
    asyncio.run(policy.load(newest))
    after = asyncio.run(policy.sample(request(1, max_tokens=12)))
    merged = load_model(newest.path, device="cpu", dtype="float32")
    expected = teacher(merged, request(1, max_tokens=12), after.token_ids.tolist())
    assert np.abs(np.array(expected) - after.logprobs).max() < ROUNDING
    assert gap(folders, "base", request(1, max_tokens=12), after) > ROUNDING


def test_a_killed_server_comes_back_with_the_newest_adapter(
    policy: VllmPolicy, folders: dict[str, Path]
) -> None:
    assert policy.server is not None

    async def killing() -> tuple[Completion | BaseException, Completion]:
        await policy.load(Checkpoint(folders["one"], 1))
        await policy.load(Checkpoint(folders["two"], 2))
        order(policy, PAUSE)
        busy = policy.shares.seconds
        lost = asyncio.create_task(policy.sample(request(1)))
        await asyncio.to_thread(wait_until, lambda: policy.shares.seconds > busy)
        os.kill(policy.server.number, signal.SIGKILL)  # type: ignore[union-attr, arg-type]
        (ended,) = await asyncio.gather(lost, return_exceptions=True)
        return ended, await policy.sample(request(2))

    ended, after = asyncio.run(killing())
    assert isinstance(ended, ModelFailed)
    assert "SIGKILL" in str(ended)
    assert after.version == 2
    assert gap(folders, "two", request(2), after) < ROUNDING
    assert len(adapters(policy)) == 1
