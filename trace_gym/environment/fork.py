"""Resuming an episode from any turn: by copy, with the files of a sandbox, or by verified replay.

A snapshot by copy holds a deep copy of everything that changes; one by sandbox also the sandbox's files. A
snapshot by replay holds how the episode came about (task, random generator, actions) and what it looked like
(a digest per turn); restoring plays it again and refuses at the first turn that looks different. Leaves out
how files are forked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from trace_gym.core.action import Action
from trace_gym.core.check import Verdict, success
from trace_gym.core.errors import ForkDiverged
from trace_gym.core.sandbox import FileSnapshot
from trace_gym.core.task import Task
from trace_gym.environment.toolbox import brief

Strategy: TypeAlias = Literal["copy", "sandbox", "replay"]
Step: TypeAlias = tuple[str, float, bool, bool, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an episode has come: `digests[0]` belongs to the first observation, `digests[i]` to
    `actions[i - 1]`. `worth` is the potential of the last verdicts."""

    task: Task
    observation: str
    verdicts: tuple[Verdict, ...]
    worth: float
    digests: tuple[str, ...]
    actions: tuple[Action, ...] = ()
    done: bool = False

    @property
    def turn(self) -> int:
        """Actions taken so far."""
        return len(self.actions)

    def told(self) -> str:
        """The latest turn as text, with the verdicts."""
        lines = [f"{self.task.key}  turn {self.turn} of {self.task.limits.max_turns}"]
        lines += [f"> {brief(action)}" for action in self.actions[-1:]]
        lines.append(self.observation)
        lines += [f"[{v.status.mark}] {v.name}: {v.evidence}" for v in self.verdicts]
        return "\n".join(lines)

    def info(self, tools: tuple[str, ...]) -> dict[str, Any]:
        """Gymnasium's `info` at this moment: a new dictionary of immutable, comparable values."""
        return {
            "task": self.task.key,
            "verdicts": self.verdicts,
            "tools": tools,
            "turn": self.turn,
            "success": success(self.verdicts),
            "digest": self.digests[-1],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Deep copies of what changes in an episode, the suite's state and the random generator, and the files of
    its sandbox where it has one."""

    state: Any
    rng: np.random.Generator
    files: FileSnapshot | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """An episode at one moment; may be restored any number of times, in any number of environments of its
    suite, until it is closed. `opening_rng` is the random generator as it was before the episode began.
    `memory` is None when the snapshot is restored by replay."""

    progress: Progress
    opening_rng: np.random.Generator
    memory: Memory | None = None

    @property
    def strategy(self) -> Strategy:
        """How `restore` will proceed."""
        if self.memory is None:
            return "replay"
        return "copy" if self.memory.files is None else "sandbox"

    @property
    def task(self) -> Task:
        """The task being played."""
        return self.progress.task

    @property
    def turn(self) -> int:
        """Actions taken before the snapshot."""
        return self.progress.turn

    def evicted(self) -> Snapshot:
        """The same moment without the copies: smaller, and restored by replay."""
        return replace(self, memory=None)

    def close(self) -> None:
        """Free the files that it holds; it is not restored any more. May be called again."""
        if self.memory is not None and self.memory.files is not None:
            self.memory.files.close()


class Playable(Protocol):
    """What replay needs of an environment."""

    def reset(
        self, *, seed: int | None = ..., options: dict[str, Any] | None = ...
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode."""
        ...

    def step(self, action: Any) -> Step:
        """Take a turn."""
        ...


def copied(state: Any, rng: np.random.Generator) -> tuple[Any, np.random.Generator]:
    """Deep copies of both; what they share, the copies share. `deepcopy` would first seed the generator
    from the system's entropy, which takes longer than all the rest of a small episode."""
    bits = rng.bit_generator
    seeds = bits.seed_seq
    if type(rng) is not np.random.Generator or type(seeds) is not np.random.SeedSequence:
        return deepcopy((state, rng))
    sown = np.random.SeedSequence(
        seeds.entropy,
        spawn_key=seeds.spawn_key,
        pool_size=seeds.pool_size,
        n_children_spawned=seeds.n_children_spawned,
    )
    twin = np.random.Generator(type(bits)(sown))
    twin.bit_generator.state = bits.state
    memo = {id(rng): twin, id(bits): twin.bit_generator, id(seeds): sown}
    return deepcopy(state, memo), twin


def digest(
    observation: str, verdicts: Iterable[Verdict], *, reward: float, terminated: bool, truncated: bool
) -> str:
    """16 hexadecimal characters that change when anything a turn shows changes."""
    found = [(v.name, v.status, v.score, v.evidence, v.weight, v.required) for v in verdicts]
    text = json.dumps([observation, found, reward, terminated, truncated])
    return blake2b(text.encode("ascii"), digest_size=8).hexdigest()


def replay(
    env: Playable,
    task: Task,
    *,
    seed: int | None,
    actions: Sequence[Action],
    digests: Sequence[str],
    opening: str | None = None,
) -> tuple[str, dict[str, Any]]:
    """Play recorded `actions` again and check every turn; returns the last observation and its info.

    `digests` holds one digest per action; `opening`, where known, that of the first observation.
    Raises ForkDiverged naming the turn, EnvironmentFailed.
    """
    first = env.reset(seed=seed, options={"task": task})
    return retrace(task, first, env.step, actions=actions, digests=digests, opening=opening)


def repeat(recorded: Progress, first: tuple[str, dict[str, Any]], step: Callable[[Action], Step]) -> None:
    """Bring a freshly begun episode, whose reset returned `first`, to where one was; as `retrace`."""
    opening, *digests = recorded.digests
    retrace(recorded.task, first, step, actions=recorded.actions, digests=digests, opening=opening)


def retrace(
    task: Task,
    first: tuple[str, dict[str, Any]],
    step: Callable[[Action], Step],
    *,
    actions: Sequence[Action],
    digests: Sequence[str],
    opening: str | None = None,
) -> tuple[str, dict[str, Any]]:
    """Bring a freshly begun episode, whose reset returned `first`, to where recorded `actions` led; as
    `replay`."""
    if len(actions) != len(digests):
        raise ValueError(f"replay needs one digest per action, got {len(digests)} for {len(actions)} actions")
    observation, info = first
    if opening is not None:
        _agree(0, task, expected=opening, info=info, observation=observation)
    for turn, (action, expected) in enumerate(zip(actions, digests, strict=True), start=1):
        observation, _, terminated, truncated, info = step(action)
        _agree(turn, task, expected=expected, info=info, observation=observation)
        if (terminated or truncated) and turn < len(actions):
            came = f"the episode ended in turn {turn} of {len(actions)}"
            raise ForkDiverged(f"replay of {task.key} diverged: {came}")
    return observation, info


def _agree(turn: int, task: Task, *, expected: str, info: dict[str, Any], observation: str) -> None:
    if info["digest"] != expected:
        raise ForkDiverged(
            f"replay of {task.key} diverged in turn {turn}: digest {info['digest']}, recorded {expected}; "
            f"the observation now begins {observation[:120]!r}"
        )
