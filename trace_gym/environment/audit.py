"""Are the two sides of a split really different? Families on both sides, tasks that are there twice or nearly
so, and gold answers that the prompt gives away.

What all tasks of a suite share (instructions, templates) makes no two of them near: only what is their own is
compared. What an agent never sees (the payload) may tell apart tasks that are one to it: where openings tell
tasks, those are there twice whose reference solutions see and do the same throughout. Leaves out making
splits: see `seal`.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from trace_gym.core.action import Action
from trace_gym.core.task import Split, Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.registry import Suite

WORDS = 5
"""Words in a shingle."""

COMMON = 0.1
"""A shingle in more than this share of the tasks is common to all, not a task's own."""

LEAST = 3
"""A task with fewer shingles of its own is only compared as a whole."""

TELLING = 0.2
"""Where there are fewer different openings than this share of the tasks, an opening is a goal that many have
and tells no task."""

Turn: TypeAlias = tuple[str, str]
"""What is seen, and what the reference solution does then, as texts."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A train task and a test task, and what share of their own shingles they share (of the smaller set)."""

    train: str
    test: str
    overlap: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found. `splits`: tasks and families of each; `read`: how many train and test tasks were looked
    into. `twice` and `near` are tasks on both sides, `told` tasks whose prompt holds a gold answer."""

    suite: str
    splits: Mapping[Split, tuple[int, int]]
    read: tuple[int, int]
    straddling: tuple[str, ...]
    twice: tuple[Pair, ...]
    near: tuple[Pair, ...]
    told: tuple[str, ...]
    secrets: int

    @property
    def sound(self) -> bool:
        """Is no family on both sides, no task there twice or nearly so, no gold answer in a prompt?"""
        return not (self.straddling or self.twice or self.near or self.told)

    def json(self) -> dict[str, Any]:
        """The audit as JSON data."""
        pairs = {
            name: [{"train": p.train, "test": p.test, "overlap": p.overlap} for p in found]
            for name, found in (("twice", self.twice), ("near", self.near))
        }
        return {
            "suite": self.suite,
            "splits": {
                str(split): {"tasks": tasks, "families": families}
                for split, (tasks, families) in self.splits.items()
            },
            "read": list(self.read),
            "straddling": list(self.straddling),
            **pairs,
            "gold_in_prompt": list(self.told),
            "secrets": self.secrets,
            "sound": self.sound,
        }


def audit(suite: Suite, *, most: int = 400, threshold: float = 0.8, seed: int = 0) -> Audit:
    """Look at up to `most` tasks a split, drawn by `seed` (families: at all tasks). Raises EnvironmentFailed,
    and what the suite's tasks raise."""
    listed = {split: suite.tasks(split) for split in Split}
    families = {split: {task.family for task in tasks} for split, tasks in listed.items()}
    drawn = {split: _drawn(tasks, most, seed) for split, tasks in listed.items()}
    env = suite.make()
    texts: dict[Split, dict[str, str]] = {split: {} for split in Split}
    openings: dict[Split, dict[Turn, list[Task]]] = {split: defaultdict(list) for split in Split}
    told, secrets = [], 0
    for split, tasks in drawn.items():
        for task in tasks:
            observation = env.reset(seed=task.seed, options={"task": task})[0]
            texts[split][task.key] = f"{observation} {json.dumps(dict(task.payload), sort_keys=True)}"
            openings[split][_turn(observation, env.oracle())].append(task)
            gold = env.secrets(task)
            secrets += len(gold)
            if any(gives_away(observation, secret) for secret in gold):
                told.append(task.key)
    seen = _seen_alike(env, openings[Split.TRAIN], openings[Split.TEST])
    env.close()
    twice, near = overlaps(texts[Split.TRAIN], texts[Split.TEST], threshold)
    twice = tuple(dict.fromkeys([*twice, *seen]))
    alike = {(pair.train, pair.test) for pair in seen}
    near = tuple(pair for pair in near if (pair.train, pair.test) not in alike)
    return Audit(
        suite=suite.spec,
        splits={split: (len(tasks), len(families[split])) for split, tasks in listed.items()},
        read=(len(drawn[Split.TRAIN]), len(drawn[Split.TEST])),
        straddling=tuple(sorted(families[Split.TRAIN] & families[Split.TEST])),
        twice=twice,
        near=near,
        told=tuple(told),
        secrets=secrets,
    )


def _turn(observation: str, action: Action | None) -> Turn:
    """An observation, told apart by its words alone, and what the reference solution does then."""
    done = "" if action is None else json.dumps(action.json(), sort_keys=True)
    return " ".join(observation.lower().split()), done


def _seen_alike(env: AgenticEnv, train: dict[Turn, list[Task]], test: dict[Turn, list[Task]]) -> list[Pair]:
    """Pairs whose reference episodes are the same to whoever plays them; only those that begin alike are
    played, and none where openings do not tell tasks."""
    found = list[Pair]()
    openings = {observation for observation, _ in (*train, *test)}
    if len(openings) < TELLING * sum(map(len, (*train.values(), *test.values()))):
        return found
    for opening in [opening for opening in test if opening[1] and opening in train]:
        played = defaultdict(list)
        for task in train[opening]:
            played[_reference(env, task)].append(task.key)
        for task in test[opening]:
            found += [Pair(other, task.key, 1.0) for other in played.get(_reference(env, task), ())]
    return found


def _reference(env: AgenticEnv, task: Task) -> tuple[Turn, ...]:
    """All that the reference solution of a task sees and does."""
    observation, turns, done = env.reset(seed=task.seed, options={"task": task})[0], list[Turn](), False
    while not done and (action := env.oracle()) is not None:
        turns.append(_turn(observation, action))
        observation, _, terminated, truncated, _ = env.step(action)
        done = terminated or truncated
    return (*turns, _turn(observation, None))


def gives_away(observation: str, secret: str) -> bool:
    """Does a text hold a secret as whole words?"""
    return re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", observation, re.IGNORECASE) is not None


def overlaps(
    train: dict[str, str], test: dict[str, str], threshold: float
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Pairs of texts, one of each side, that are the same but for spaces and case, and those whose own
    shingles overlap by at least `threshold` (Broder 1997: |A & B| / min(|A|, |B|)), the most alike first."""
    words = {key: text.lower().split() for key, text in {**train, **test}.items()}
    same: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for key in train:
        same[tuple(words[key])].append(key)
    twice = [Pair(other, key, 1.0) for key in test for other in same[tuple(words[key])]]
    known = {(pair.train, pair.test) for pair in twice}
    own = _own({key: _shingles(found) for key, found in words.items()})
    holders: dict[int, list[str]] = defaultdict(list)
    for key in train:
        for shingle in own[key]:
            holders[shingle].append(key)
    near = []
    for key in test:
        shared = Counter(other for shingle in own[key] for other in holders[shingle])
        for other, count in shared.items():
            least = min(len(own[key]), len(own[other]))
            if least >= LEAST and count >= threshold * least and (other, key) not in known:
                near.append(Pair(other, key, count / least))
    return tuple(twice), tuple(sorted(near, key=lambda pair: (-pair.overlap, pair.test, pair.train)))


def _shingles(words: Sequence[str]) -> set[int]:
    return {hash(tuple(words[i : i + WORDS])) for i in range(len(words) - WORDS + 1)}


def _own(shingles: dict[str, set[int]]) -> dict[str, set[int]]:
    """Without those that are common to many tasks."""
    spread = Counter(shingle for found in shingles.values() for shingle in found)
    most = max(2, COMMON * len(shingles))
    return {key: {s for s in found if spread[s] <= most} for key, found in shingles.items()}


def _drawn(tasks: Sequence[Task], most: int, seed: int) -> list[Task]:
    places: Iterable[int] = range(len(tasks))
    if len(tasks) > most:
        places = sorted(Random(seed).sample(range(len(tasks)), most))
    return [tasks[place] for place in places]
