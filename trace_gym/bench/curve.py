"""Learning curves over several kinds of cost, and what can be read off them. Pure functions.

A point of a curve is an evaluation: success, and all that had been spent on training by then. Leaves out
where curves come from and how they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trace_gym.core.tree import Forest

AXES: Mapping[str, str] = {
    "tokens": "sampled tokens",
    "trajectories": "trajectories",
    "optimiser_steps": "optimiser steps",
    "latency_s": "simulated seconds",
}
"""The costs that success is shown over, in words."""


@dataclass(frozen=True, slots=True)
class Point:
    """Held-out `success` with its interval after so many `steps`, and what training had cost by then.
    `latency_s` is simulated: the seconds that all of it takes at the run's pace."""

    step: int
    success: float
    low: float
    high: float
    tokens: float
    trajectories: float
    optimiser_steps: float
    turns: float
    latency_s: float
    seconds: float

    def json(self) -> dict[str, float]:
        """All fields by name."""
        return asdict(self)


def points(data: Sequence[Mapping[str, Any]]) -> list[Point]:
    """What `Point.json` wrote."""
    return [Point(**each) for each in data]


def success_at(curve: Sequence[Point], cost: float, axis: str) -> float:
    """Success at a cost on `axis`, straight between points and level beyond the last."""
    before = curve[0]
    for point in curve:
        here = float(getattr(point, axis))
        if here >= cost:
            there = float(getattr(before, axis))
            share = 1.0 if here == there else (cost - there) / (here - there)
            return before.success + share * (point.success - before.success)
        before = point
    return before.success


def mixed_prefixes(forest: Forest) -> tuple[int, int]:
    """(prefixes under which both outcomes lie, prefixes with at least two known leaves), roots left out."""
    mixed = known = 0
    for tree in forest.trees:
        below: dict[int, list[float]] = {}
        for leaf, outcome in tree.outcomes().items():
            for node in tree.path(leaf)[:-1]:
                below.setdefault(node, []).append(outcome)
        shared = [outcomes for outcomes in below.values() if len(outcomes) > 1]
        known += len(shared)
        mixed += sum(len(set(outcomes)) == 2 for outcomes in shared)
    return mixed, known
