"""The collector over a Ray cluster of several nodes on this machine, some of which are lost in mid-step."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
import torch

from trace_gym.core.budget import Budget
from trace_gym.core.episode import StopReason
from trace_gym.core.errors import EnvironmentFailed, ModelFailed
from trace_gym.core.policy import Checkpoint, SampleRequest
from trace_gym.core.scheduler import EpisodeDone, Grant
from trace_gym.core.task import Split
from trace_gym.core.tokens import ids
from trace_gym.environment.registry import suite
from trace_gym.model.load import load_model
from trace_gym.model.tiny import make_tiny
from trace_gym.parts import make_agent, make_scheduler
from trace_gym.rollout.collector import Collector
from trace_gym.rollout.parties import CollectorConfig
from trace_gym.rollout.policy_torch import TorchPolicy
from trace_gym.store import Store

pytestmark = [
    pytest.mark.needs("ray"),
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
SIZE = {"num_cpus": 1, "object_store_memory": 80 << 20}


@pytest.fixture(scope="module")
def nodes():
    """A cluster on this machine: our connection to it, and what adds and removes nodes."""
    from ray.cluster_utils import Cluster as Local

    from trace_gym.rollout.ray_actors import Cluster

    local = Local(initialize_head=True, head_node_args=SIZE)
    try:
        with Cluster(local.address) as cluster:
            yield cluster, local
    finally:
        local.shutdown()


@pytest.fixture
def more(nodes):
    """Nodes beside the head, for one test."""
    _, local = nodes
    added = [local.add_node(**SIZE) for _ in range(2)]
    yield added
    for node in added:
        if node in local.list_all_nodes():
            local.remove_node(node)


class Watched:
    """The random agent; before its move number `at` it does something."""

    trainable = False
    wants_oracle = False

    def __init__(self, at, deed):
        self._inner, self._left, self._deed = make_agent("random"), at, deed

    async def act(self, view):
        self._left -= 1
        if not self._left:
            self._deed()
        return await self._inner.act(view)


def collect(cluster, agent, store, *, size=9, trajectories=36):
    from trace_gym.rollout.cluster import ClusterSeats

    guess = suite("guess")

    async def play():
        seats = ClusterSeats(cluster, {"guess": "guess"}, size, look_s=0.2, patience_s=20.0)
        scheduler = make_scheduler("trace", {"continuations": 2}, seed=0)
        config = CollectorConfig(training=True)
        async with Collector(
            {"guess": guess.make}, agent, scheduler, journal=store, config=config, seats=seats
        ) as collector:
            return await collector.collect(0, guess.tasks(Split.TRAIN)[:8], Budget(trajectories=trajectories))

    return asyncio.run(play())


def test_a_node_lost_in_mid_step_costs_nothing_and_its_grants_are_played_once(nodes, more, tmp_path):
    cluster, local = nodes
    with Store.create(tmp_path / "run", kind="train", config={}) as store:
        forest = collect(cluster, Watched(60, lambda: local.remove_node(more[0])), store)
        known = store.recover(0)
        answers = [item for _, answer in known.events for item in answer]
        granted = {g.number: g.count for g in (*known.grants, *answers) if isinstance(g, Grant)}
        trees = {tree.index: tree for tree in forest.trees}
        ends = [event for event, _ in known.events if isinstance(event, EpisodeDone)]
        assert Counter(trees[end.tree].rollouts[end.rollout].grant for end in ends) == granted
        stops = Counter(record.stop for tree in forest.trees for record in tree.rollouts)
        assert stops[StopReason.INVALID] > 0, "what was played on the lost node is noted as invalid"
        assert sum(granted.values()) == 36 == sum(stops.values()) - stops[StopReason.INVALID]
        finished = [trees[end.tree].rollouts[end.rollout].stop for end in ends]
        assert set(finished) <= {StopReason.TERMINATED, StopReason.MAX_TURNS}


def test_replicas_need_nodes_that_have_what_they_need(nodes):
    from trace_gym.rollout.replicas import open_replicas

    with pytest.raises(ModelFailed, match="has 1 GPUs"):
        open_replicas(nodes[0], Path("model"), options={}, gpus=1.0)


def test_a_node_that_joins_gets_seats_and_with_none_left_the_wait_has_an_end(nodes, more):
    from trace_gym.rollout.cluster import ClusterSeats

    cluster, local = nodes
    now = [0.0]

    async def scenario():
        seats = ClusterSeats(cluster, {"guess": "guess"}, 3, look_s=0.1, patience_s=5.0, clock=lambda: now[0])
        task = suite("guess").tasks(Split.TRAIN)[0]
        taken = [await seats.take() for _ in range(3)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(seats.take(), 0.3)
        joined = local.add_node(**SIZE)
        now[0] += 1.0
        fourth = await asyncio.wait_for(seats.take(), 20)
        stand = await fourth.begin(task, keep=True, oracle=True)
        assert stand.oracle is not None
        assert len({seat.name.split("-")[0] for seat in (*taken, fourth)}) == 4
        assert await taken[0].resume(task, stand.snapshot, oracle=True) == stand.oracle, "moved, or replayed"
        local.remove_node(joined)
        with pytest.raises(EnvironmentFailed, match="node"):
            await fourth.begin(task, keep=False, oracle=False)
        hint = await taken[1].resume(task, stand.snapshot, oracle=True)
        assert hint == stand.oracle, "a snapshot of a lost node is replayed"
        for seat in (*taken, fourth):
            seat.leave()
        seats.close()

    asyncio.run(scenario())


def test_a_node_that_was_only_busy_is_tried_again():
    from trace_gym.rollout.cluster import AGAIN_S, ClusterSeats
    from trace_gym.rollout.ray_actors import Lost

    now, placed, waits = [0.0], [], []

    class Busy:
        """A host's actor; the first of all does not answer."""

        def __init__(self):
            self.node, self._silent = "n1", not placed

        async def call(self, method, *given, timeout_s):
            waits.append((method, timeout_s))
            if self._silent:
                raise Lost("node n1 has not answered")
            return 0

        def post(self, method, *given):
            pass

    class One:
        def nodes(self, *, gpus=0.0):
            return ["n1"]

        def place(self, kind, *given, node, gpus=0.0):
            actor = Busy()
            placed.append(node)
            return actor

    async def scenario():
        seats = ClusterSeats(One(), {"guess": "guess"}, 2, look_s=0.01, clock=lambda: now[0])
        task = suite("guess").tasks(Split.TRAIN)[0]
        with pytest.raises(EnvironmentFailed, match="has not answered"):
            await (await seats.take()).oracle(task)
        now[0] += AGAIN_S / 2
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(seats.take(), 0.05)
        now[0] += AGAIN_S / 2
        seat = await seats.take()
        assert await seat.oracle(task) == await seat.oracle(task) == 0

    asyncio.run(scenario())
    assert placed == ["n1", "n1"]
    starts = [timeout for method, timeout in waits if method == "take"]
    assert min(starts) > 60, "a process that starts has longer"


def test_replicas_answer_as_one_policy_would_and_survive_one_another(nodes, more, tmp_path):
    from trace_gym.rollout.replicas import open_replicas

    cluster, local = nodes
    words = [f"word{i}" for i in range(20)]
    old, new = (make_tiny(tmp_path / str(s), vocabulary=words, seed=s, hidden=32, layers=1) for s in (1, 2))
    asked = [SampleRequest(ids([seed % 7 + 3] * 5), 6, seed) for seed in range(8)]

    async def answers(policy):
        return [done.token_ids.tolist() for done in await asyncio.gather(*map(policy.sample, asked))]

    replicas = open_replicas(cluster, Path(old), options={"device": "cpu", "threads": 1})

    async def scenario():
        try:
            with TorchPolicy(load_model(old, device="cpu")) as single:
                assert await answers(replicas) == await answers(single)
                states = await replicas.encode([each.prompt_ids for each in asked])
                for ours, theirs in zip(
                    states, await single.encode([e.prompt_ids for e in asked]), strict=True
                ):
                    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs))
                await replicas.load(Checkpoint(Path(new), 3))
                await single.load(Checkpoint(Path(new), 3))
                local.remove_node(more[1])
                assert await answers(replicas) == await answers(single)
                assert replicas.version == 3
            with pytest.raises(ModelFailed, match="does not see"):
                await replicas.load(Checkpoint(tmp_path / "elsewhere", 4))
        finally:
            replicas.close()

    asyncio.run(scenario())
