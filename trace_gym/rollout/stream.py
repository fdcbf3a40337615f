"""Which tasks are candidates at a step: every suite gets its share, and pools are cut from shuffles.

A pure function of the seed and the step, so that a resumed run neither skips nor repeats a task. Which of the
candidates are then played is for the scheduler to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Task


@dataclass(frozen=True, slots=True)
class Source:
    """A suite's training tasks, its share of every pool (any positive number, relative to the others) and the
    least part of it, `floor`, that it keeps whatever the shares say."""

    name: str
    tasks: Sequence[Task]
    share: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.tasks):
            raise BadConfig(f"suite {self.name!r} has no training tasks")
        if not self.share > 0:
            raise BadConfig(f"the share of suite {self.name!r} must be positive, got {self.share}")
        if not 0 <= self.floor <= 1:
            raise BadConfig(f"the floor of suite {self.name!r} must lie in [0, 1], got {self.floor}")


class TaskStream:
    """Pools of candidates over several suites. Stateless apart from the shuffles it keeps."""

    def __init__(self, sources: Sequence[Source], seed: int) -> None:
        if not sources:
            raise BadConfig("training needs at least one suite")
        self._sources = sources
        self._seed = seed
        self._shuffles: dict[tuple[int, int], NDArray[np.int64]] = {}

    def pool(self, step: int, size: int) -> list[Task]:
        """The candidates of a step: at most `size`, never the same task twice, suites by share."""
        tasks: list[Task] = []
        for number, quota in enumerate(self.quotas(size)):
            tasks += self._block(number, step, quota)
        return tasks

    def quotas(self, size: int) -> list[int]:
        """How many candidates each suite gives to a pool: largest remainders, at least one each, at most all
        its tasks."""
        if size < len(self._sources):
            raise BadConfig(f"a pool of {size} cannot hold a task of each of {len(self._sources)} suites")
        ideal = [size * part for part in self._parts()]
        quotas = [max(1, int(share)) for share in ideal]
        by_remainder = sorted(range(len(ideal)), key=lambda i: (quotas[i] - ideal[i], i))
        for number in by_remainder[: max(0, size - sum(quotas))]:
            quotas[number] += 1
        while sum(quotas) > size:
            quotas[quotas.index(max(quotas))] -= 1
        return [min(quota, len(source.tasks)) for quota, source in zip(quotas, self._sources, strict=True)]

    def _parts(self) -> list[float]:
        """Each suite's part of a pool: its floor where its share would give it less, else its share of what
        the floors leave."""
        floored: set[int] = set()
        while True:
            free = 1.0 - sum(self._sources[i].floor for i in floored)
            total = sum(s.share for i, s in enumerate(self._sources) if i not in floored)
            parts = [
                source.floor if i in floored else free * source.share / total
                for i, source in enumerate(self._sources)
            ]
            below = {i for i, source in enumerate(self._sources) if parts[i] < source.floor} - floored
            if not below:
                return parts
            floored |= below

    def settled(self, size: int) -> Mapping[str, int]:
        """The quotas by suite, for people."""
        return dict(zip((source.name for source in self._sources), self.quotas(size), strict=True))

    def _block(self, number: int, step: int, quota: int) -> list[Task]:
        """A suite's part of a pool: the next `quota` of a shuffle. What is left of a shuffle, fewer than
        `quota` tasks, sits that shuffle out, so that no pool holds a task twice."""
        tasks = self._sources[number].tasks
        epoch, place = divmod(step, len(tasks) // quota)
        shuffle = self._shuffle(number, epoch)
        return [tasks[int(index)] for index in shuffle[place * quota : (place + 1) * quota]]

    def _shuffle(self, number: int, epoch: int) -> NDArray[np.int64]:
        key = (number, epoch)
        if key not in self._shuffles:
            rng = np.random.default_rng([self._seed, number, epoch])
            self._shuffles[key] = rng.permutation(len(self._sources[number].tasks))
        return self._shuffles[key]
