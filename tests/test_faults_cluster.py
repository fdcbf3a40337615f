"""Nodes of a Ray cluster that are lost in the middle of a training run.

| fault | observed |
|---|---|
| a node is killed | its rollouts are invalid (environment), played anew elsewhere, every grant settled once |
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loop_files.processes import alive, children, wait_until
from tests.loop_files.runs import SMALL, Listening, assert_sound
from trace_gym.assemble import train
from trace_gym.config import load
from trace_gym.core.episode import StopReason
from trace_gym.core.scheduler import Event
from trace_gym.core.tree import RolloutTree
from trace_gym.store import Store

pytestmark = [
    pytest.mark.needs("ray"),
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
SIZE = {"num_cpus": 1, "object_store_memory": 80 << 20}
LOST_AT = 4
"""The turn of step 1 with which a node goes."""


@pytest.fixture
def local() -> Iterator[Any]:
    """A cluster of two nodes that nobody is connected to."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=SIZE)
    try:
        made.add_node(**SIZE)
        yield made
    finally:
        made.shutdown()


class Removing(Listening):
    """Kills the node beside the head in mid-step, and holds the step up until all that ran on it is gone: a
    node's actors outlive it by as long as they take to notice."""

    def __init__(self, local: Any) -> None:
        super().__init__()
        self._local, self.left = local, LOST_AT

    def event(self, tree: RolloutTree, event: Event) -> None:
        super().event(tree, event)
        self.left -= self.step == 1
        if not self.left:
            (worker,) = self._local.worker_nodes
            (raylet,) = worker.all_processes["raylet"]
            actors = children(raylet.process.pid)
            self._local.remove_node(worker, allow_graceful=False)
            wait_until(lambda: not any(map(alive, actors)))


def test_a_run_that_loses_a_node_plays_again_what_was_on_it_and_nothing_else(
    local: Any, tmp_path: Path
) -> None:
    narrator = Removing(local)
    config = load("guess", (*SMALL, "run.steps=3", "run.workers=6", f"cluster.address={local.address}"))
    train(config, tmp_path / "run", narrator=narrator, cache=tmp_path / "cache")
    assert narrator.left <= 0
    with Store.open(tmp_path / "run", read_only=True) as store:
        assert_sound(store)
        stops = [
            {record.stop for tree in store.forest(step).trees for record in tree.rollouts}
            for step in range(3)
        ]
    assert StopReason.INVALID in stops[1]
    assert StopReason.INVALID not in stops[0] | stops[2]
