"""What an evaluation plays: which tasks of which suites, how often, within which limits.

Leaves out who plays, and what comes of it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.registry import Suite

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class EpisodeLimits:
    """What one episode may take at most, where its task allows more; None leaves it to the task."""

    turns: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("turns", "tokens", "seconds", "usd"):
            bound = getattr(self, name)
            if bound is not None and not 0 < bound < float("inf"):
                raise BadConfig(f"an episode's limit of {name} must be positive, got {bound}")

    def tightened(self, limits: Limits) -> Limits:
        """The tighter of a task's limits and these."""
        return Limits(
            min(limits.max_turns, self.turns or limits.max_turns),
            limits.step_timeout_s,
            _least(limits.max_tokens, self.tokens),
            _least(limits.max_seconds, self.seconds),
            _least(limits.max_usd, self.usd),
        )


def _least(one: N | None, other: N | None) -> N | None:
    return other if one is None else one if other is None else min(one, other)


@dataclass(frozen=True, slots=True)
class EvalConfig:
    """`attempts` per task (k); `tasks` at most per suite (None: all), a fixed sample decided by `sample`
    (None: by `seed`, which also decides what is drawn in play); `limits` tighten those of every task;
    `screenshots`: keep a picture of every turn of suites that draw themselves, in the run folder."""

    split: Split = Split.TEST
    attempts: int = 1
    tasks: int | None = None
    seed: int = 0
    sample: int | None = None
    workers: int = 64
    turn_tokens: int = 256
    limits: EpisodeLimits = EpisodeLimits()
    screenshots: bool = False

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise BadConfig(f"attempts per task (k) must be at least 1, got {self.attempts}")
        if self.tasks is not None and self.tasks < 1:
            raise BadConfig(f"tasks per suite must be at least 1, got {self.tasks}")
        if self.workers < 1 or self.turn_tokens < 1:
            given = f"{self.workers} workers and {self.turn_tokens} tokens"
            raise BadConfig(f"an evaluation needs at least one worker and one token a turn, got {given}")


@dataclass(frozen=True, slots=True)
class Part:
    """A suite's part in an evaluation; what is None is as the configuration says. `weight` is that of its
    mean success in the weighted score."""

    suite: Suite
    attempts: int | None = None
    tasks: int | None = None
    limits: EpisodeLimits = EpisodeLimits()
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.attempts is not None and self.attempts < 1:
            raise BadConfig(f"{self.suite.spec}: attempts (k) must be at least 1, got {self.attempts}")
        if self.tasks is not None and self.tasks < 1:
            raise BadConfig(f"{self.suite.spec}: tasks must be at least 1, got {self.tasks}")
        if not 0 < self.weight < float("inf"):
            raise BadConfig(f"{self.suite.spec}: a weight is a positive number, got {self.weight}")


@dataclass(frozen=True, slots=True)
class Planned:
    """A task to be played `attempts` times; `part` is the number of the part it belongs to."""

    task: Task
    attempts: int
    part: int


def chosen(suite: Suite, config: EvalConfig) -> list[Task]:
    """The tasks of a suite that an evaluation plays: all, or a sample, in their order. Which places of
    the list the sample takes depends on the suite's name, the list's length and the sample alone."""
    tasks = suite.tasks(config.split)
    if config.tasks is None or config.tasks >= len(tasks):
        return list(tasks)

    sample = config.seed if config.sample is None else config.sample

    def rank(index: int) -> bytes:
        return hashlib.blake2b(f"{sample}/{suite.name}/{index}".encode(), digest_size=8).digest()

    return [tasks[index] for index in sorted(sorted(range(len(tasks)), key=rank)[: config.tasks])]


def planned(parts: Sequence[Part], config: EvalConfig) -> list[Planned]:
    """The tasks of all parts; each has one environment to be played in, and is there once. Raises BadConfig
    where that cannot be."""
    names = ", ".join(part.suite.spec for part in parts)
    makers = {part.suite.name: part.suite for part in parts}
    if any(makers[part.suite.name].options != part.suite.options for part in parts):
        raise BadConfig(f"one evaluation gives a suite the same options throughout, got {names}")
    plan = [
        Planned(_limited(task, part.limits, config.limits), part.attempts or config.attempts, number)
        for number, part in enumerate(parts)
        for task in chosen(part.suite, replace(config, tasks=part.tasks or config.tasks))
    ]
    if not plan:
        raise BadConfig(f"no tasks in the {config.split} split of {names}")
    key, times = Counter(each.task.key for each in plan).most_common(1)[0]
    if times > 1:
        raise BadConfig(f"{names} overlap: {key} is in {times} of them; for more attempts at a task say -k")
    return plan


def _limited(task: Task, *limits: EpisodeLimits) -> Task:
    for tighter in limits:
        task = replace(task, limits=tighter.tightened(task.limits))
    return task
