"""The snapshots of a step: the oldest give way, never under whoever is on the way into them."""

import threading
from asyncio import to_thread as in_thread

from tests.rollout.test_collector import Corridor, Walker, collect, corridor
from trace_gym.core.budget import Budget
from trace_gym.core.episode import StopReason
from trace_gym.core.scheduler import TurnDone
from trace_gym.rollout.snapshots import Snapshots
from trace_gym.schedule.trace import Trace

LONG_S = 60.0
"""Nothing here takes so long."""


class Files:
    """What a snapshot holds that has to be freed; counts how often it was."""

    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


def kept(most, *nodes):
    snapshots, all_files = Snapshots(most), {}
    for node in nodes:
        all_files[node] = Files()
        snapshots.keep((0, node), all_files[node])
    return snapshots, all_files


def closed(all_files):
    return {node: files.closed for node, files in all_files.items()}


def test_the_oldest_give_way_and_the_rest_are_closed_at_the_end():
    snapshots, files = kept(2, 1, 2, 3)
    assert closed(files) == {1: 1, 2: 0, 3: 0}
    with snapshots.lent((0, 1)) as gone, snapshots.lent((0, 3)) as there:
        assert gone is None
        assert there is files[3]
    snapshots.close()
    assert closed(files) == {1: 1, 2: 1, 3: 1}
    none, files = kept(0, 1)
    assert closed(files) == {1: 1}
    none.close()
    assert closed(files) == {1: 1}


def test_what_is_lent_is_closed_once_by_the_last_who_has_it():
    snapshots, files = kept(1, 1)
    with snapshots.lent((0, 1)) as one:
        with snapshots.lent((0, 1)) as two:
            assert one is two is files[1]
            snapshots.keep((0, 2), Files())
            with snapshots.lent((0, 1)) as late:
                assert late is None, "it has given way: a newcomer replays"
        assert files[1].closed == 0
    assert files[1].closed == 1
    snapshots.close()
    assert files[1].closed == 1


def test_a_fork_on_its_way_into_a_snapshot_arrives_though_newer_ones_took_its_place():
    """Task 0's forks are held up inside their snapshots until task 1 has taken so many turns that all of
    task 0's snapshots have given way."""
    entering, given_way, most = threading.Event(), threading.Event(), 4
    found = []

    class Boxed(Corridor):
        def freeze(self):
            return Files()

        def thaw(self, task, files):
            entering.set()
            found.append((given_way.wait(LONG_S), files.closed))

    class Waiting(Walker):
        async def act(self, view):
            if "5" in view.turns[0].observation and len(view.turns) == 1:
                await in_thread(entering.wait, LONG_S)
            return await super().act(view)

    later = []

    def listener(tree, event):
        if isinstance(event, TurnDone) and tree.task.id == "1":
            later.append(event.node)
            if len(later) == most:
                given_way.set()

    forest = collect(
        [corridor(0), corridor(1, length=5)],
        Trace(4, 1),
        budget=Budget(trajectories=8),
        agent=Waiting(),
        world=Boxed,
        listener=listener,
        snapshots=most,
    )
    assert found[:2] == [(True, 0), (True, 0)]
    assert all(freed == 0 for _, freed in found)
    stops = [record.stop for tree in forest.trees for record in tree.rollouts]
    assert stops == [StopReason.TERMINATED] * 8
