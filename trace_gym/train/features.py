"""A turn prefix as numbers: what a value head sees besides the policy's hidden state.

Leaves out the head itself, and who labels prefixes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from trace_gym.core.check import Status, Verdict, potential
from trace_gym.core.predictor import Prefix

Rows: TypeAlias = NDArray[np.float32]

SUITES = 8
"""Suites are told apart by a one-hot of their name's hash."""
PLAIN = 9 + SUITES
"""How many features there are."""


@dataclass(slots=True)
class Records:
    """How rollouts from the roots of tasks ended: successes and counts by task, faded by `decay` a step, with
    the average over all as a prior worth `prior` rollouts."""

    decay: float = 0.9
    prior: float = 2.0
    won: float = 0.0
    seen: float = 0.0
    tasks: dict[str, tuple[float, float]] | None = None

    @property
    def base(self) -> float:
        """The success rate over all tasks, shrunk to 1/2."""
        return (self.won + 1.0) / (self.seen + 2.0)

    def of(self, task: str) -> tuple[float, float]:
        """(successes, rollouts) from the root of a task."""
        return (self.tasks or {}).get(task, (0.0, 0.0))

    def log_odds(self, task: str) -> tuple[float, float]:
        """(how far the log-odds of a task's own rate are from the base's, how many rollouts tell so)."""
        won, seen = self.of(task)
        if not seen:
            return 0.0, 0.0
        base = self.base
        rate = (won + self.prior * base) / (seen + self.prior)
        return math.log(rate / (1.0 - rate)) - math.log(base / (1.0 - base)), seen

    def fade(self) -> None:
        """A step has passed."""
        self.won, self.seen = self.won * self.decay, self.seen * self.decay
        faded = {task: (w * self.decay, n * self.decay) for task, (w, n) in (self.tasks or {}).items()}
        self.tasks = {task: counts for task, counts in faded.items() if counts[1] > 0.01}

    def add(self, task: str, outcome: float) -> None:
        """A rollout from the root of a task ended."""
        self.won, self.seen = self.won + outcome, self.seen + 1.0
        self.tasks = self.tasks if self.tasks is not None else {}
        won, seen = self.tasks.get(task, (0.0, 0.0))
        self.tasks[task] = (won + outcome, seen + 1.0)

    def state_dict(self) -> dict[str, Any]:
        """The counts, as JSON data."""
        return {
            "won": self.won,
            "seen": self.seen,
            "tasks": {k: list(v) for k, v in (self.tasks or {}).items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood."""
        self.won, self.seen = float(state["won"]), float(state["seen"])
        self.tasks = {task: (float(won), float(seen)) for task, (won, seen) in state["tasks"].items()}


def plain_features(prefixes: Sequence[Prefix], records: Records, *, verdicts: bool = True) -> Rows:
    """The features (N, PLAIN) of prefixes: where each stands, what its checks say (nothing without
    `verdicts`), how its task went before."""
    rows = np.zeros((len(prefixes), PLAIN), dtype=np.float32)
    if not prefixes:
        return rows
    depth = np.array([prefix.depth for prefix in prefixes], dtype=np.float64)
    turns = np.array([prefix.max_turns for prefix in prefixes], dtype=np.float64)
    rows[:, 0] = depth == 0
    rows[:, 1] = depth / turns
    rows[:, 2] = np.log1p(depth)
    rows[:, 3] = np.log1p(np.maximum(0.0, turns - depth))
    if verdicts:
        heard = [(i, prefix.verdicts) for i, prefix in enumerate(prefixes) if prefix.verdicts]
        for i, said in heard:
            rows[i, 4:7] = _findings(said)
    rows[:, 7], seen = zip(*(records.log_odds(prefix.task) for prefix in prefixes), strict=True)
    rows[:, 8] = np.log1p(seen)
    place = {suite: 9 + crc32(suite.encode()) % SUITES for suite in {prefix.suite for prefix in prefixes}}
    rows[np.arange(len(prefixes)), [place[prefix.suite] for prefix in prefixes]] = 1.0
    return rows


def _findings(heard: Sequence[Verdict]) -> tuple[float, float, float]:
    """(share of the findings that are passes, the same by weight, whether there are any)."""
    found = [verdict for verdict in heard if verdict.status in (Status.PASS, Status.FAIL)]
    passed = sum(verdict.status is Status.PASS for verdict in found)
    return passed / len(found) if found else 0.0, potential(found), float(bool(found))
