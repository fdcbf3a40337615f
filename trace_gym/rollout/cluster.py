"""Seats on the nodes of a Ray cluster: the collector's environments and sandboxes, on many machines.

Every node has a host with its share of the seats; nodes that join later get one too. A rollout stays on its
node, and forks go where their snapshot is while there is room, else they are replayed elsewhere, verified. A
node that is lost makes its rollouts invalid, once, and the collector plays them again on the others. Leaves
out the policy, which has replicas of its own (`replicas.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trace_gym.core.action import Action
from trace_gym.core.errors import EnvironmentFailed
from trace_gym.core.task import Task
from trace_gym.environment.registry import Suite
from trace_gym.rollout.cluster_host import EnvironmentHost
from trace_gym.rollout.ray_actors import Actor, Cluster, Lost
from trace_gym.rollout.seat import Kept, Seats, Stand

log = logging.getLogger(__name__)
_GRACE_S = 30.0
"""How long beyond an environment's own limit a node may take to answer before it counts as lost."""
_START_S = 180.0
"""For a host's first answer: its process has yet to start, and to import everything."""
AGAIN_S = 30.0
"""A lost node that is still in the cluster was perhaps only busy; it is tried again after so long."""


@dataclass(slots=True, eq=False)
class Host:
    """A node's environments, and how many of its seats are free; whether it has ever `answered`, and when it
    was lost."""

    actor: Actor
    free: int
    answered: bool = False
    lost_at: float | None = None

    @property
    def lost(self) -> bool:
        """Nothing is asked of it any more."""
        return self.lost_at is not None


@dataclass(slots=True, eq=False)
class RemoteSnapshot:
    """A snapshot that a host keeps, and how its episode came about, should the host be lost or full."""

    host: Host
    number: int
    actions: tuple[Action, ...]
    digests: tuple[str, ...]
    closed: bool = False

    def close(self) -> None:
        """Have the host free it. Idempotent."""
        if not self.closed and not self.host.lost:
            self.host.actor.post("forget", self.number)
        self.closed = True


class ClusterSeats:
    """At most `size` seats, shared out over the nodes; implements Seats. `specs`: how each suite is written,
    by its name. Waits up to `patience_s` for a node where none is left."""

    def __init__(
        self,
        cluster: Cluster,
        specs: Mapping[str, str],
        size: int,
        *,
        patience_s: float = 60.0,
        look_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if size < 1:
            raise ValueError(f"seats must be at least 1, got {size}")
        self._cluster = cluster
        self._specs = dict(specs)
        self._share = -(-size // max(1, len(cluster.nodes())))
        self._patience_s = patience_s
        self._look_s = look_s
        self._clock = clock
        self._looked = -look_s
        self._hosts: dict[str, Host] = {}
        self._freed = asyncio.Event()

    async def take(self) -> ClusterSeat:
        """A free seat, on the node that has most. Raises EnvironmentFailed: no node is left."""
        since = self._clock()
        while True:
            self._look_round()
            living = [host for host in self._hosts.values() if not host.lost]
            host = max(living, key=lambda each: each.free, default=None)
            if host is not None and host.free:
                host.free -= 1
                return ClusterSeat(self, host)
            if living:
                since = self._clock()
            elif self._clock() - since > self._patience_s:
                raise EnvironmentFailed(f"the cluster has had no node for {self._patience_s:g} s")
            self._freed.clear()
            try:
                await asyncio.wait_for(self._freed.wait(), self._look_s)
            except TimeoutError:
                continue

    def close(self) -> None:
        """Close the environments on all nodes."""
        for host in self._hosts.values():
            if not host.lost:
                host.actor.stop()
        self._hosts.clear()

    def lose(self, host: Host, why: str) -> None:
        """Count a node as lost."""
        if not host.lost:
            host.lost_at = self._clock()
            log.warning("%s; what was played there is played again elsewhere", why)
        self._freed.set()

    def free(self, host: Host) -> None:
        """A seat of a host is free again."""
        host.free += 1
        self._freed.set()

    def _look_round(self) -> None:
        """Make hosts on nodes that have joined, and on lost ones that are still there after a while."""
        now = self._clock()
        if now - self._looked < self._look_s:
            return
        self._looked = now
        nodes = self._cluster.nodes()
        for node, host in self._hosts.items():
            if node not in nodes:
                self.lose(host, f"node {node[:8]} has left the cluster")
        for node in nodes:
            known = self._hosts.get(node)
            if known is None or (known.lost_at is not None and now - known.lost_at >= AGAIN_S):
                actor = self._cluster.place(EnvironmentHost, self._specs, self._share, node=node)
                self._hosts[node] = Host(actor, self._share)


class ClusterSeat:
    """A seat on a node; implements Seat."""

    def __init__(self, seats: ClusterSeats, host: Host) -> None:
        self._seats = seats
        self._host = host
        self._number: int | None = None
        self._path: tuple[tuple[Action, ...], tuple[str, ...]] = ((), ())

    @property
    def name(self) -> str:
        """The node, and the seat's number there."""
        return f"{self._host.actor.node[:8]}-{self._number}"

    async def begin(self, task: Task, *, keep: bool, oracle: bool) -> Stand:
        """As Seat.begin."""
        stand, kept = await self._call("begin", task, task, keep, oracle)
        self._path = (), (stand.digest,)
        return self._standing(stand, kept)

    async def step(self, task: Task, action: Action, *, keep: bool, oracle: bool) -> Stand:
        """As Seat.step."""
        stand, kept = await self._call("step", task, task, action, keep, oracle)
        actions, digests = self._path
        self._path = (*actions, action), (*digests, stand.digest)
        return self._standing(stand, kept)

    async def resume(self, task: Task, snapshot: Kept, *, oracle: bool) -> Action | None:
        """As Seat.resume; replayed here where the snapshot's node is lost or full. Raises ForkDiverged."""
        if not isinstance(snapshot, RemoteSnapshot):
            raise TypeError(f"a cluster resumes from its own snapshots, got a {type(snapshot).__name__}")
        if await self._move(snapshot.host):
            self._path = snapshot.actions, snapshot.digests
            hint: Action | None = await self._call("resume", task, task, snapshot.number, oracle)
            return hint
        await self.replay(task, snapshot.actions, snapshot.digests)
        return await self.oracle(task) if oracle else None

    async def replay(self, task: Task, actions: Sequence[Action], digests: Sequence[str]) -> list[Stand]:
        """As Seat.replay."""
        turns = len(actions) + 1
        stands: list[Stand] = await self._call(
            "replay", task, task, tuple(actions), tuple(digests), calls=turns
        )
        self._path = tuple(actions), tuple(digests)
        return stands

    async def oracle(self, task: Task) -> Action | None:
        """As Seat.oracle."""
        hint: Action | None = await self._call("oracle", task, task)
        return hint

    def leave(self) -> None:
        """Hand it back."""
        if self._host.lost:
            return
        if self._number is not None:
            self._host.actor.post("leave", self._number)
        self._seats.free(self._host)

    async def _move(self, host: Host) -> bool:
        """Be on a host; False where that is lost or full."""
        if host is self._host:
            return not host.lost
        if host.lost or not host.free:
            return False
        self.leave()
        host.free -= 1
        self._host, self._number = host, None
        return True

    async def _call(self, method: str, task: Task, *given: Any, calls: int = 1) -> Any:
        """Ask the host. Raises EnvironmentFailed where it is lost, and what the environment raises."""
        timeout_s = calls * task.limits.step_timeout_s + _GRACE_S
        actor = self._host.actor
        try:
            if self._number is None:
                wait_s = _GRACE_S if self._host.answered else _START_S
                self._number = await actor.call("take", timeout_s=wait_s)
                self._host.answered = True
            return await actor.call(method, self._number, *given, timeout_s=timeout_s)
        except Lost as error:
            self._seats.lose(self._host, str(error))
            raise EnvironmentFailed(f"{task.key}: {error}") from error

    def _standing(self, stand: Stand, kept: int | None) -> Stand:
        if kept is None:
            return stand
        return replace(stand, snapshot=RemoteSnapshot(self._host, kept, *self._path))


def seats_on(cluster: Cluster) -> Callable[[Sequence[Suite], int], Seats]:
    """What gives so many seats for suites on a cluster."""
    return lambda suites, size: ClusterSeats(cluster, {each.name: each.spec for each in suites}, size)
