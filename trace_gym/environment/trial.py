"""Playing episodes for certification: chosen by a rule, recorded, and compared turn by turn.

Leaves out what must hold; the laws and probes say that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.check import Verdict
from trace_gym.core.errors import TraceGymError
from trace_gym.core.task import Split, Task
from trace_gym.environment.browser_env import BrowserEnv
from trace_gym.environment.env import AgenticEnv, RewardRule
from trace_gym.environment.registry import Suite
from trace_gym.environment.spaces import ActionSpace

Chooser: TypeAlias = Callable[[AgenticEnv], object]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to try: sampled `tasks` per split, `episodes` of random play, `forks` per strategy, `fuzz`
    hostile actions; `scan` bounds how many tasks of a split are read at all."""

    tasks: int = 20
    episodes: int = 200
    forks: int = 100
    fuzz: int = 5000
    scan: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("tasks", "episodes", "forks", "fuzz", "scan"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @classmethod
    def fitting(cls, suite: Suite) -> Plan:
        """The usual plan; smaller ones for suites whose steps run programs, or live in a browser, and so take
        long."""
        if suite.env_class.fork == "sandbox":
            return cls(episodes=60, forks=30, fuzz=200)
        if issubclass(suite.env_class, BrowserEnv):
            return cls(tasks=6, episodes=16, forks=8, fuzz=200)
        return cls()


@dataclass(frozen=True, slots=True)
class Seen:
    """All that one turn (or a reset) shows."""

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]
    tools: tuple[ToolSpec, ...]

    @property
    def done(self) -> bool:
        """Has the episode ended here?"""
        return self.terminated or self.truncated

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts after the turn."""
        found: tuple[Verdict, ...] = self.info["verdicts"]
        return found


class Rejected(TraceGymError):
    """A certification probe found the suite at fault; the text is the evidence."""


@dataclass(slots=True)
class Ledger:
    """What has been seen of every check, over all play: counts by name and status, and what was wrong."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    turns: int = 0

    def note(self, task: Task, episode: Sequence[Seen]) -> None:
        """Take note of an episode, its reset first."""
        names = [verdict.name for verdict in episode[0].verdicts]
        if len(set(names)) != len(names):
            self._blame(task, 0, f"check names must differ, got {names}")
        if not any(verdict.required for verdict in episode[0].verdicts):
            self._blame(task, 0, "no check is required, so nothing can succeed")
        for turn, seen in enumerate(episode):
            self.turns += 1
            self._turn(task, turn, seen, names)

    def _turn(self, task: Task, turn: int, seen: Seen, names: list[str]) -> None:
        now = [verdict.name for verdict in seen.verdicts]
        if now != names:
            self._blame(task, turn, f"the checks' names changed from {names} to {now}")
        if seen.terminated and seen.info["success"] is None:
            self._blame(task, turn, "the episode terminated although a required check has no finding")
        for verdict in seen.verdicts:
            self.counts.setdefault(verdict.name, Counter())[verdict.status] += 1
            if verdict.required:
                self.required.add(verdict.name)
            if not verdict.evidence.strip():
                self._blame(task, turn, f"verdict {verdict.name!r} has no evidence")

    def _blame(self, task: Task, turn: int, problem: str) -> None:
        if len(self.problems) < 5:
            self.problems.append(f"{task.key}, turn {turn}: {problem}")


@dataclass(slots=True)
class Subject:
    """A suite under certification, its sampled tasks, and the ledger of all play."""

    suite: Suite
    plan: Plan
    clock: Callable[[], float]
    tasks: dict[Split, tuple[Task, ...]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    made: list[AgenticEnv] = field(default_factory=list)

    def make(self, *, reward: RewardRule | None = None) -> AgenticEnv:
        """A new environment of the suite, which `close` closes if nobody does before."""
        self.made.append(self.suite.make() if reward is None else self.suite.make(reward=reward))
        return self.made[-1]

    def close(self) -> None:
        """Close what was made: an environment may hold a sandbox or a browser."""
        while self.made:
            self.made.pop().close()

    def rng(self, *stream: int) -> np.random.Generator:
        """A generator of its own for each purpose."""
        return np.random.default_rng([self.plan.seed, *stream])

    def cases(self, count: int) -> Iterator[tuple[int, Task]]:
        """`count` numbered tasks, the splits in turn, each again when they run out."""
        train, test = self.tasks[Split.TRAIN], self.tasks[Split.TEST]
        for i in range(count):
            side = (train, test)[i % 2]
            yield i, side[i // 2 % len(side)]

    def sampled(self) -> tuple[Task, ...]:
        """Every sampled task once."""
        return self.tasks[Split.TRAIN] + self.tasks[Split.TEST]


class Wanderer:
    """Chooses the oracle's action with probability `oracle`, else a random valid one, else (rarely) nonsense.

    The same generator state and the same environment give the same choices.
    """

    def __init__(self, rng: np.random.Generator, *, oracle: float = 0.0, nonsense: float = 0.0) -> None:
        self._rng = rng
        self._oracle = oracle
        self._nonsense = nonsense
        self._space = ActionSpace((), seed=rng)

    def __call__(self, env: AgenticEnv) -> object:
        draw = float(self._rng.random())
        if draw < self._oracle:
            action = env.oracle()
            if action is not None:
                return action
        if draw > 1.0 - self._nonsense:
            return Action.call("no such tool", junk=int(self._rng.integers(100)))
        tools = tuple(env.available())
        if tools != self._space.tools:
            self._space = ActionSpace(tools, seed=self._rng)
        return self._space.sample()


def opened(env: AgenticEnv, task: Task, seed: int) -> Seen:
    """Reset to a task."""
    observation, info = env.reset(seed=seed, options={"task": task})
    return Seen(observation, 0.0, False, False, info, tuple(env.available()))


def stepped(env: AgenticEnv, action: object) -> Seen:
    """Take one turn."""
    observation, reward, terminated, truncated, info = env.step(action)
    return Seen(observation, reward, terminated, truncated, info, tuple(env.available()))


def play(env: AgenticEnv, task: Task, seed: int, choose: Chooser) -> tuple[list[Seen], list[object]]:
    """A whole episode: what was seen (the reset first) and the actions taken."""
    seen, actions = [opened(env, task, seed)], []
    while not seen[-1].done:
        actions.append(choose(env))
        seen.append(stepped(env, actions[-1]))
    return seen, actions


def follow(env: AgenticEnv, actions: Sequence[object]) -> list[Seen]:
    """Take the given turns, as far as the episode lasts."""
    seen: list[Seen] = []
    for action in actions:
        seen.append(stepped(env, action))
        if seen[-1].done:
            break
    return seen


def difference(one: Sequence[Seen], other: Sequence[Seen], *, first_turn: int = 0) -> str | None:
    """Where two records first differ, in words; None where they are equal."""
    for turn, (a, b) in enumerate(zip(one, other, strict=False), start=first_turn):
        if a != b:
            return f"turn {turn}: {_which(a, b)}"
    if len(one) != len(other):
        return f"one ended after {len(one)} turns, the other after {len(other)}"
    return None


def _which(a: Seen, b: Seen) -> str:
    for name in ("observation", "reward", "terminated", "truncated"):
        was, now = getattr(a, name), getattr(b, name)
        if was != now:
            return f"{name} {_short(was)} became {_short(now)}"
    for was, now in zip(a.verdicts, b.verdicts, strict=False):
        if was != now:
            return f"verdict {was.name!r} {_short(_verdict(was))} became {_short(_verdict(now))}"
    for key in a.info.keys() | b.info.keys():
        if a.info.get(key) != b.info.get(key):
            return f"info[{key!r}] {_short(a.info.get(key))} became {_short(b.info.get(key))}"
    return "the tools differ"


def _verdict(verdict: Verdict) -> str:
    return f"{verdict.name} {verdict.status} {verdict.score} ({verdict.evidence})"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:99] + "…"
