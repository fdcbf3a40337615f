"""vLLM as a policy: what a real server answers, with which weights, and what happens when it is gone."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.loop_files.processes import alive, children, unread, wait_until
from tests.loop_files.runs import Listening, assert_sound
from tests.rollout.bridge import Bridge
from tests.rollout.test_policy_torch import request as plain_request
from tests.rollout.test_policy_torch import sample_all, teacher
from trace_gym.assemble import train
from trace_gym.config import load
from trace_gym.core.agent import Move, View
from trace_gym.core.budget import Budget
from trace_gym.core.episode import FailureCause, StopReason
from trace_gym.core.errors import ContextExceeded, ModelFailed
from trace_gym.core.policy import Checkpoint, Completion, Finish, SampleRequest
from trace_gym.core.scheduler import Event
from trace_gym.core.task import Split
from trace_gym.core.tokens import ids
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.environment.registry import suite
from trace_gym.model.load import LoadedModel, load_model
from trace_gym.model.tiny import make_tiny
from trace_gym.parts import make_renderer
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.model_agent import ModelAgent
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.rollout.policy_vllm import VllmPolicy
from trace_gym.rollout.vllm_dialect import MODULE, PAUSE, RESUME
from trace_gym.rollout.vllm_fleet import VllmConfig
from trace_gym.schedule.uniform import Uniform
from trace_gym.store import Store
from trace_gym.testing.sampling import check_policy
from trace_gym.warm import WarmConfig, warm_tiny

pytestmark = [pytest.mark.needs("vllm"), pytest.mark.slow, pytest.mark.timeout(1200)]
CONTEXT = 2048
ROUNDING = 2e-4
"""How far fp32 log-probs of two implementations may be apart, in nats."""
EASY = f"{Path(__file__).parents[1] / 'loop_files' / 'easy.py'}:Easy"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three models of one shape, of which one plays a little, and one of another shape."""
    root, easy = tmp_path_factory.mktemp("models"), suite(EASY)
    words = list(easy.env_class.vocabulary or ())
    shapes = {"old": (1, 2), "new": (2, 2), "deep": (3, 3)}
    made = {
        name: make_tiny(root / name, vocabulary=words, seed=seed, layers=layers, context_size=CONTEXT)
        for name, (seed, layers) in shapes.items()
    }
    small, told = WarmConfig(layers=2, demos=60, steps=16, batch_tokens=512, lr=3e-3), Listening()
    warm = warm_tiny([easy], small, cache=root, note=told.note, progress=told.warming)
    return {**made, "warm": warm}


def request(seed: int, *, length: int = 20, max_tokens: int = 6, **options: float) -> SampleRequest:
    """A request in bytes, which every model here knows."""
    asked = plain_request(seed, length=length, max_tokens=max_tokens, **options)
    return replace(asked, prompt_ids=asked.prompt_ids % 256)


@pytest.fixture(scope="module")
def server(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmPolicy]:
    """A policy whose server all tests here use."""
    log = tmp_path_factory.mktemp("vllm")
    config = VllmConfig(memory_gib=1, timeout_s=120)
    with VllmPolicy(folders["old"], config, folder=log, dtype="float32") as policy:
        yield policy


@pytest.fixture
def policy(server: VllmPolicy, folders: dict[str, Path]) -> VllmPolicy:
    """The same with the old weights."""
    asyncio.run(server.load(Checkpoint(folders["old"], 0)))
    return server


@cache
def loaded(folder: Path) -> LoadedModel:
    return load_model(folder, device="cpu", dtype="float32")


def gaps(folder: Path, asked: SampleRequest, got: Completion) -> np.ndarray:
    """How far the log-probs of a completion are from those of the model in `folder`, token by token."""
    return np.abs(np.array(teacher(loaded(folder), asked, got.token_ids.tolist())) - got.logprobs)


def order(policy: VllmPolicy, path: str) -> None:
    """Tell the server to do something."""
    assert policy.server is not None
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(policy.server.socket))) as client:
        client.post(f"http://vllm{path}", timeout=30).raise_for_status()


def metric(policy: VllmPolicy, name: str) -> float:
    """What the server says of itself: the sum of the metrics with this name, a regular expression."""
    assert policy.server is not None
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(policy.server.socket))) as client:
        told = client.get("http://vllm/metrics", timeout=30).text
    found = re.findall(rf"^vllm:{name}{{.*}} (\S+)$", told, re.MULTILINE)
    assert found, f"the server has no metric {name}"
    return sum(map(float, found))


def test_many_requests_agree_with_the_trainer(policy: VllmPolicy, folders: dict[str, Path]) -> None:
    requests = [request(i, length=3 + 7 * (i % 11), temperature=0.5 + 0.25 * (i % 4)) for i in range(24)]
    found = asyncio.run(sample_all(policy, requests))
    for asked, got in zip(requests, found, strict=True):
        assert gaps(folders["old"], asked, got).max() < ROUNDING
        assert (got.finish, got.version, len(got.token_ids)) == (Finish.LENGTH, 0, 6)
        assert got.fresh + got.cached == len(asked.prompt_ids)
        assert (got.entropy > 0).all()
        assert got.seconds > 0
    greedy = asyncio.run(policy.sample(request(1, temperature=0.0)))
    assert not greedy.logprobs.any()
    assert policy.context_size == CONTEXT


def test_more_prompts_than_are_read_in_a_step(policy: VllmPolicy, folders: dict[str, Path]) -> None:
    prompt = request(0, length=480).prompt_ids
    requests = [SampleRequest(np.roll(prompt, i), 4, i) for i in range(24)]
    found = asyncio.run(sample_all(policy, requests))
    assert max(gaps(folders["old"], *pair).max() for pair in zip(requests, found, strict=True)) < ROUNDING


def test_a_stop_token_ends_the_turn_and_is_kept(policy: VllmPolicy) -> None:
    free = asyncio.run(policy.sample(request(3, max_tokens=10)))
    stop = int(free.token_ids[4])
    length = free.token_ids.tolist().index(stop) + 1
    stopped = asyncio.run(policy.sample(SampleRequest(request(3).prompt_ids, 10, 3, stop_ids=(stop, 0))))
    assert stopped.finish is Finish.STOP
    assert stopped.token_ids.tolist() == free.token_ids[:length].tolist()


def test_forks_find_their_prefix_until_there_are_new_weights(
    policy: VllmPolicy, folders: dict[str, Path]
) -> None:
    async def forked() -> tuple[int, list[Completion], Completion]:
        said = await policy.sample(request(1, length=200, max_tokens=70))
        path = [*request(1, length=200).prompt_ids, *said.token_ids]
        forks = [SampleRequest(ids([*path, 5, 6, seed]), 4, seed, cached=len(path)) for seed in range(6)]
        found = await sample_all(policy, forks)
        await policy.load(Checkpoint(folders["new"], 1))
        return len(path), found, await policy.sample(forks[0])

    seen, forks, afterwards = asyncio.run(forked())
    assert all(fork.cached >= 0.94 * seen for fork in forks)
    assert afterwards.cached == 0


def moment(policy: VllmPolicy) -> None:
    """Let a server that pauses go on for a moment: both orders lie there before it obeys the first."""
    assert policy.server is not None
    orders = [f"POST {path} HTTP/1.1\r\nHost: vllm\r\nContent-Length: 0\r\n\r\n" for path in (RESUME, PAUSE)]
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(60)
        line.connect(str(policy.server.socket))
        line.sendall("".join(orders).encode())
        said = b""
        while said.count(b"HTTP/1.1 200") < len(orders):
            said += line.recv(65536) or pytest.fail(f"the server hung up after {said!r}")


def test_new_weights_arrive_while_requests_run(policy: VllmPolicy, folders: dict[str, Path]) -> None:
    asked, most = [request(i, max_tokens=20) for i in range(6)], CONTEXT - 60
    lengthy = [request(seed, length=40, max_tokens=most) for seed in range(20, 24)]

    async def around() -> tuple[list[Completion], list[Completion]]:
        sampled = metric(policy, "generation_tokens_total")
        order(policy, PAUSE)
        before = [asyncio.create_task(policy.sample(one)) for one in lengthy]
        while metric(policy, "generation_tokens_total") < sampled + 600:
            await asyncio.to_thread(moment, policy)
        loading = asyncio.create_task(policy.load(Checkpoint(folders["new"], 7)))
        await asyncio.sleep(0)
        after = await sample_all(policy, asked)
        await loading
        return await asyncio.gather(*before), after

    old, new = asyncio.run(around())
    assert (policy.version, {c.version for c in old}, {c.version for c in new}) == (7, {0}, {7})
    for one, completion in zip(asked, new, strict=True):
        assert gaps(folders["new"], one, completion).max() < ROUNDING
    for one, completion in zip(lengthy, old, strict=True):
        right = {name: gaps(folders[name], one, completion) < ROUNDING for name in ("old", "new")}
        switch = int(np.argmin(right["old"]))
        assert 20 < switch < most, "it was under way when the weights came"
        assert right["new"][switch:].all()


@pytest.mark.parametrize("wrong", ["deep", "missing"])
def test_weights_that_do_not_fit_leave_the_old_ones(
    policy: VllmPolicy, folders: dict[str, Path], wrong: str
) -> None:
    checkpoint = Checkpoint(folders.get(wrong, Path("no/such/folder")), 1)
    with pytest.raises(ModelFailed, match=r"of another shape: model.layers.2|no safetensors files"):
        asyncio.run(policy.load(checkpoint))
    after = asyncio.run(policy.sample(request(1)))
    assert after.version == 0
    assert gaps(folders["old"], request(1), after).max() < ROUNDING


def test_cancelled_requests_leave_the_server(
    policy: VllmPolicy, folders: dict[str, Path], bridge: Bridge, tmp_path: Path
) -> None:
    many, length = 4, 480

    async def cancelling(remote: VllmPolicy) -> None:
        here = bridge.asked
        long = [asyncio.create_task(remote.sample(request(i, max_tokens=length))) for i in range(many)]
        await asyncio.to_thread(wait_until, lambda: bridge.asked - here > many * 250)
        for task in long:
            task.cancel()
        ends = await asyncio.gather(*long, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}

    before = metric(policy, "generation_tokens_total")
    with VllmPolicy(folders["old"], VllmConfig(base_url=(bridge.url,)), folder=tmp_path) as remote:
        order(policy, PAUSE)
        try:
            asyncio.run(cancelling(remote))
        finally:
            order(policy, RESUME)
        asyncio.run(remote.sample(request(99, max_tokens=1)))
        wait_until(lambda: not metric(policy, "num_requests_(?:running|waiting)"))
        sampled = metric(policy, "generation_tokens_total") - before
    assert sampled < many * length, "they were sampled to the end"


def test_what_cannot_be_asked_is_refused(policy: VllmPolicy) -> None:
    nearly = asyncio.run(policy.sample(request(1, length=CONTEXT - 3, max_tokens=50)))
    assert (len(nearly.token_ids), nearly.finish) == (3, Finish.LENGTH)
    with pytest.raises(ContextExceeded, match=f"{CONTEXT} tokens in a context of {CONTEXT}"):
        asyncio.run(policy.sample(request(1, length=CONTEXT)))
    with pytest.raises(ContextExceeded, match=f"has {CONTEXT + 1} tokens"):
        asyncio.run(policy.encode([request(1, length=CONTEXT + 1).prompt_ids]))
    with pytest.raises(ValueError, match="temperature must be at least 0"):
        asyncio.run(policy.sample(request(1, temperature=-1.0)))
    with pytest.raises(ModelFailed, match="HTTP 400"):
        asyncio.run(policy.sample(SampleRequest(ids([1, 100_000]), 3, 0)))


def test_servers_that_are_there_are_shared_out_and_may_be_lost(
    policy: VllmPolicy, folders: dict[str, Path], bridge: Bridge, tmp_path: Path
) -> None:
    assert policy.server is not None
    with Bridge(policy.server.socket) as other:
        config = VllmConfig(base_url=(bridge.url, other.url), retries=1)
        with VllmPolicy(folders["old"], config, folder=tmp_path) as remote:
            before = bridge.asked, other.asked
            found = asyncio.run(sample_all(remote, [request(i, length=30 + i) for i in range(8)]))
            assert bridge.asked - before[0] > 1000
            assert other.asked - before[1] > 1000
            other.cut()
            again = asyncio.run(sample_all(remote, [request(i, length=30 + i) for i in range(8)]))
            assert [c.token_ids.tolist() for c in again] == [c.token_ids.tolist() for c in found]
            with pytest.raises(ModelFailed, match="in vain"):
                asyncio.run(remote.load(Checkpoint(folders["new"], 1)))
            with pytest.raises(ModelFailed, match="the servers may have different weights"):
                asyncio.run(remote.sample(request(1)))
            assert not list(tmp_path.iterdir())


def test_a_server_without_adapters_is_refused_where_they_are_wanted(
    folders: dict[str, Path], bridge: Bridge, tmp_path: Path
) -> None:
    config = VllmConfig(base_url=(bridge.url,), lora=True)
    with pytest.raises(ModelFailed, match=r"takes no adapters: start it with VLLM_ALLOW_RUNTIME_LORA_UPDATI"):
        VllmPolicy(folders["old"], config, folder=tmp_path, rank=4)


def test_a_run_trains_what_vllm_samples(
    server: VllmPolicy, folders: dict[str, Path], bridge: Bridge, tmp_path: Path
) -> None:
    config = load(
        None,
        [
            *(f"suites={EASY}", "run.steps=2", "run.pool=8", "budget.step_trajectories=32", "eval.tasks=1"),
            *(f"policy.model=vllm:{folders['warm']}?base_url={bridge.url}", "policy.dtype=float32"),
            *("agent.renderer=compact", "agent.max_tokens=4", "train.lr=1e-3", "predictor.name=beta"),
            *("scheduler.name=trace", "train.advantage=drgrpo", "train.kl=0.1"),
        ],
    )
    asyncio.run(server.load(Checkpoint(folders["warm"], 0)))
    train(config, tmp_path / "run", narrator=Listening())
    with Store.open(tmp_path / "run", read_only=True) as store:
        metrics = [store.metrics(step) for step in range(2)]
        newest = store.checkpoints()[-1][1]
    assert newest.version > 0, "it has learnt something"
    for found in [found for found in metrics if not found["train/skipped"]]:
        assert found["watch/parity_gap_max"] < 1e-3
        assert found["watch/parity_version_gap"] == 0
    assert not any(found["invalid"] for found in metrics)
    after = asyncio.run(server.sample(request(1, max_tokens=12)))
    assert gaps(newest.path, request(1), after).max() < ROUNDING


def servers() -> set[int]:
    """The vLLM servers that this process started."""
    return {child for child in children(os.getpid()) if MODULE in Path(f"/proc/{child}/cmdline").read_text()}


class Killing(Listening):
    """Stops the servers that were started since, with the first turn of step 1, and kills each one once a
    request waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._others, self.killed = servers(), set[int]()

    def event(self, tree: RolloutTree, event: Event) -> None:
        super().event(tree, event)
        if self.step == 1 and not self.killed:
            self.killed = servers() - self._others
            for number in self.killed:
                os.kill(number, signal.SIGSTOP)
                threading.Thread(target=self._kill, args=(number,)).start()

    def _kill(self, number: int) -> None:
        listening = Path(f"/proc/{number}/cwd").resolve() / "socket"
        try:
            wait_until(lambda: unread(listening) > 0)
        finally:
            os.kill(number, signal.SIGKILL)


def test_a_run_whose_server_is_killed_goes_on_with_the_weights_it_had(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    config = load(
        None,
        [
            *(f"suites={EASY}", "run.steps=2", "run.pool=8", "budget.step_trajectories=32", "eval.tasks=1"),
            *(f"policy.model=vllm:{folders['warm']}?memory_gib=1", "policy.dtype=float32"),
            *("agent.renderer=compact", "agent.max_tokens=8", "train.lr=1e-3", "predictor.name=beta"),
            *("scheduler.name=trace", "train.advantage=drgrpo", "train.kl=0.1", "run.workers=4"),
        ],
    )
    narrator = Killing()
    train(config, tmp_path / "run", narrator=narrator)
    assert len(narrator.killed) == 1
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert_sound(store)
        ends = [record for tree in store.forest(1).trees for record in tree.rollouts]
        metrics = store.metrics(1)
    broken = [record for record in ends if record.stop is StopReason.INVALID]
    assert broken
    assert all(record.failure is FailureCause.MODEL and "SIGKILL" in record.detail for record in broken)
    assert metrics["watch/parity_gap_max"] < 1e-3, "the second server has the first one's weights"
    assert metrics["watch/parity_version_gap"] == 0


def test_it_keeps_the_protocol(folders: dict[str, Path], bridge: Bridge, tmp_path: Path) -> None:
    policy = VllmPolicy(folders["old"], VllmConfig(base_url=(bridge.url,)), folder=tmp_path)
    asyncio.run(check_policy(policy))
    with pytest.raises(ModelFailed, match="the policy is closed"):
        asyncio.run(policy.sample(request(1)))


def test_closing_ends_every_wait(folders: dict[str, Path], bridge: Bridge, tmp_path: Path) -> None:
    policy = VllmPolicy(folders["old"], VllmConfig(base_url=(bridge.url,)), folder=tmp_path)

    async def closing() -> list[Completion | BaseException]:
        tasks = [asyncio.create_task(policy.sample(request(i, max_tokens=400))) for i in range(3)]
        await policy.sample(request(7, max_tokens=1))
        await asyncio.to_thread(policy.close)
        return await asyncio.gather(*tasks, return_exceptions=True)

    for ended in asyncio.run(closing()):
        assert isinstance(ended, ModelFailed)
        assert "closed" in str(ended)


class Reckless(ModelAgent):
    """Has the policy's server killed in the midst of its tenth answer, a long one: when one that was asked
    for later, of a single token, has come."""

    asked = 0

    async def act(self, view: View) -> Move:
        self.asked += 1
        if self.asked != 10:
            return await super().act(view)
        answer = asyncio.create_task(self._policy.sample(request(8, max_tokens=400)))
        assert isinstance(self._policy, VllmPolicy)
        assert self._policy.server is not None
        await self._policy.sample(request(7, max_tokens=1))
        assert self._policy.server.number is not None
        os.kill(self._policy.server.number, signal.SIGKILL)
        await answer
        raise AssertionError("the server answered before it was killed")


def test_a_killed_server_spoils_episodes_and_is_started_again(
    policy: VllmPolicy, folders: dict[str, Path]
) -> None:
    asyncio.run(policy.load(Checkpoint(folders["new"], 3)))
    easy, tokenizer = suite(EASY), loaded(folders["new"]).tokenizer
    agent = Reckless(policy, make_renderer("compact", tokenizer), tokenizer=tokenizer, max_tokens=60)

    async def play() -> Forest:
        config = CollectorConfig(workers=4, turn_tokens=60, retries=2)
        makers = {easy.name: easy.make}
        async with Collector(makers, agent, Uniform(n=3), config=config) as collector:
            return await collector.collect(0, easy.tasks(Split.TRAIN)[:6], Budget())

    forest = asyncio.run(play())
    records = [record for tree in forest.trees for record in tree.rollouts]
    broken = [record for record in records if record.stop is StopReason.INVALID]
    assert broken
    assert all(record.failure is FailureCause.MODEL for record in broken)
    assert all("SIGKILL" in record.detail for record in broken)
    assert not any(record.scored for record in broken)
    assert len(records) - len(broken) == 18
    afterwards = asyncio.run(policy.sample(request(1)))
    assert afterwards.version == 3
    assert gaps(folders["new"], request(1), afterwards).max() < ROUNDING


def test_a_server_does_not_outlive_its_keeper(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from trace_gym.rollout.vllm_dialect import Launch\n"
        "from trace_gym.rollout.vllm_server import VllmServer, vllm_python\n"
        "server = VllmServer(vllm_python(), Path(sys.argv[1]))\n"
        "server.start(Launch('none', str(server.socket), 'float32', 1))\n"
        "print(server.number, server.socket.parent, flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        told, scratch = keeper.stdout.readline().split()
        number = int(told)
        assert alive(number)
        keeper.kill()
    wait_until(lambda: not alive(number))
    assert not Path(scratch).exists()
