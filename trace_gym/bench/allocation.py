"""What every method's allocation is worth where the truth is known: synthetic value-martingale trees, no
model.

Because V is known everywhere, contrast can be had in expectation, and the best allocation of the same
rollouts by search. Leaves out learning: that is the `schedulers` benchmark.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

from trace_gym.bench.martingale import Landscape
from trace_gym.bench.simulation import Grown, Played, Simulation
from trace_gym.bench.spread import seed_interval
from trace_gym.bench.workers import workers
from trace_gym.core.errors import BadConfig
from trace_gym.core.targets import recursive_backup
from trace_gym.schedule.catalogue import make, spelled
from trace_gym.schedule.contrast import (
    allocate_prefixes,
    allocate_roots,
    flip_probability,
    prefix_contrast,
    root_contrast,
)

LOW, HIGH = 0.25, 0.75
"""Root values below and above which the bias of targets is reported apart."""


@dataclass(slots=True)
class Found:
    """Sums and lists over the steps of one run."""

    trajectories: int = 0
    turns: int = 0
    trees: int = 0
    mixed: int = 0
    forks: int = 0
    flips: int = 0
    anchors: int = 0
    contrast: float = 0.0
    roots_value: float = 0.0
    roots_best: float = 0.0
    forks_value: float = 0.0
    forks_best: float = 0.0
    bias: dict[str, list[float]] = field(default_factory=dict)
    played: set[str] = field(default_factory=set)


def measure(found: Found, played: Played) -> None:
    """Take a step into `found`."""
    v = np.array([grown.values[0] for grown in played.grown])
    counts = [sum(map(grown.tree.bare, range(len(grown.tree.rollouts)))) for grown in played.grown]
    value = float(root_contrast(v, counts).sum()) if counts else 0.0
    best = allocate_roots(played.offered, sum(counts), cap=max(8, *counts, 2) if counts else 8)
    found.roots_value += value
    found.roots_best += max(value, float(root_contrast(played.offered, best).sum()))
    found.contrast += value
    for grown in played.grown:
        _measure_tree(found, grown)
    found.trajectories += sum(grant.count for grant in played.grants)


def _measure_tree(found: Found, grown: Grown) -> None:
    tree = grown.tree
    found.trees += 1
    found.mixed += tree.mixed
    found.turns += len(tree.turns) - 1
    found.played.add(tree.task.key)
    continued: dict[int, list[int]] = {}
    for number, record in enumerate(tree.rollouts):
        if record.anchor:
            continued.setdefault(record.anchor, []).append(number)
    spots = {
        node: bool(tree.outcome(turn.rollout))
        for node, turn in enumerate(tree.turns)
        if node and not turn.done and tree.bare(turn.rollout)
    }
    flips = {n: float(flip_probability(grown.values[n], won)) for n, won in spots.items()}
    mine = 0.0
    for anchor, rollouts in continued.items():
        parent = tree.outcome(tree.turns[anchor].rollout)
        flip = float(flip_probability(grown.values[anchor], bool(parent)))
        mine += float(prefix_contrast(flip, len(rollouts)))
        found.anchors += 1
        found.flips += any(tree.outcome(number) is not parent for number in rollouts)
    many = sum(len(rollouts) for rollouts in continued.values())
    found.forks += many
    found.forks_value += mine
    found.contrast += mine
    if many and flips:
        best = allocate_prefixes(list(flips.values()), many)
        found.forks_best += max(mine, float(prefix_contrast(list(flips.values()), best).sum()))
    _measure_bias(found, grown)


def _measure_bias(found: Found, grown: Grown) -> None:
    """Target less truth at the root: of the recursive backup, and of bare rollouts alone."""
    tree, truth = grown.tree, grown.values[0]
    bare = [bool(tree.outcome(i)) for i in range(len(tree.rollouts)) if tree.bare(i)]
    level = "low" if truth < LOW else "high" if truth > HIGH else "middle"
    backup = recursive_backup(tree)[0][0]
    found.bias.setdefault(f"backup_{level}", []).append(backup - truth)
    found.bias.setdefault(f"bare_{level}", []).append(fmean(bare) - truth)


def summary(found: Found, *, tasks: int) -> dict[str, float]:
    """The figures of a run. `contrast`: expected, per trajectory; `regret_roots` and `regret_forks`: the part
    of what the best allocation of the same rollouts would have had, that was missed; `starved`: the part of
    the tasks that was never played."""
    n = max(1, found.trajectories)
    figures = {
        "contrast": found.contrast / n,
        "effective_ratio": found.mixed / max(1, found.trees),
        "mixed_per_100": 100.0 * found.mixed / n,
        "turns_each": found.turns / n,
        "contrast_per_turn": found.contrast / max(1, found.turns),
        "leaves_per_tree": n / max(1, found.trees),
        "regret_roots": 1.0 - found.roots_value / found.roots_best if found.roots_best else 0.0,
        "starved": 1.0 - len(found.played) / tasks,
        "forks": found.forks / n,
        **{f"bias_{name}": fmean(errors) for name, errors in sorted(found.bias.items())},
    }
    if found.anchors:
        figures["flipped"] = found.flips / found.anchors
        figures["regret_forks"] = 1.0 - found.forks_value / found.forks_best if found.forks_best else 0.0
    return figures


@dataclass(frozen=True, slots=True)
class Row:
    """One method under one predictor: every figure's mean over seeds and its 95 % interval (None with one
    seed). `steps_per_minute` is what one core did."""

    method: str
    predictor: str
    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float] | None]
    seeds: int
    steps_per_minute: float

    def json(self) -> dict[str, Any]:
        """All fields by name."""
        return {
            "method": self.method,
            "predictor": self.predictor,
            "figures": dict(self.figures),
            "intervals": {name: None if i is None else list(i) for name, i in self.intervals.items()},
            "seeds": self.seeds,
            "steps_per_minute": self.steps_per_minute,
        }


@dataclass(frozen=True, slots=True)
class Case:
    """One run: a method by its spec (`trace_plus?queue=true`), a predictor, a landscape, `pool` candidates
    and `budget` trajectories a step, so many `steps`."""

    method: str
    predictor: str
    landscape: Landscape
    pool: int
    budget: int
    steps: int
    seed: int


def simulate(case: Case) -> dict[str, float]:
    """One run's figures, and `seconds`. Raises UnknownName, BadConfig, ValueError for what cannot be run."""
    started = time.perf_counter()
    name, options = spelled(case.method)
    scheduler = make(name, options, seed=case.seed)
    simulation = Simulation(
        case.landscape, scheduler, case.predictor, pool=case.pool, budget=case.budget, seed=case.seed
    )
    found = Found()
    for _ in range(case.steps):
        measure(found, simulation.step())
    return summary(found, tasks=case.landscape.tasks) | {"seconds": time.perf_counter() - started}


def run(
    methods: Sequence[str],
    predictors: Sequence[str],
    landscape: Landscape,
    *,
    pool: int = 64,
    budget: int = 96,
    steps: int = 50,
    seeds: int = 3,
    jobs: int = 1,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Row]:
    """Every method under every predictor, `seeds` runs each on the same pools and tasks, over `jobs`
    processes. Raises as `simulate` does, and BadConfig for what only real tasks have."""
    if min(pool, budget, steps, seeds, jobs) < 1:
        raise ValueError("pool, budget, steps, seeds and jobs must be at least 1")
    pairs = [(predictor, method) for predictor in predictors for method in methods]
    cases = [
        Case(method, predictor, landscape, pool, budget, steps, seed)
        for predictor, method in pairs
        for seed in range(seeds)
    ]
    for name, options in map(spelled, methods):
        make(name, options, seed=0)
        if any(options.get(key) for key in ("cut_below", "guide_share")):
            raise BadConfig(
                f"synthetic tasks are played to their end and have no solution to show; leave cut_below and "
                f"guide_share out of {name!r}"
            )
    rows, results = [], _spread_out(cases, jobs)
    for predictor, method in pairs:
        found = [next(results) for _ in range(seeds)]
        rows.append(_row(method, predictor, found, steps=steps))
        progress(f"{method} under {predictor}: {rows[-1].steps_per_minute:,.0f} steps a minute")
    return rows


def _spread_out(cases: Sequence[Case], jobs: int) -> Iterator[dict[str, float]]:
    """Results in the order of the cases."""
    if jobs == 1:
        yield from map(simulate, cases)
        return
    with workers(min(jobs, len(cases), os.cpu_count() or 1)) as pool:
        yield from pool.map(simulate, cases)


def _row(method: str, predictor: str, found: Sequence[Mapping[str, float]], *, steps: int) -> Row:
    names = sorted(set().union(*found) - {"seconds"})
    told = {name: [figures[name] for figures in found if name in figures] for name in names}
    return Row(
        method,
        predictor,
        {name: fmean(values) for name, values in told.items()},
        {name: seed_interval(values) for name, values in told.items()},
        len(found),
        60.0 * steps * len(found) / sum(figures["seconds"] for figures in found),
    )
