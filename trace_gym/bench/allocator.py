"""How fast, how lean and how exact the allocators are, on as many candidates as one asks for.

No model and no environment: success probabilities are drawn from a U-shaped Beta, as warm policies have them.
Leaves out whether allocations are good ones: that is `allocation` and `schedulers`.
"""

from __future__ import annotations

import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trace_gym.schedule.contrast import (
    Reals,
    allocate_prefixes,
    allocate_roots,
    allocate_roots_exact,
    root_contrast,
    root_marginal,
)

SHAPE = 0.3
"""Both parameters of the Beta that success probabilities are drawn from."""


@dataclass(frozen=True, slots=True)
class Measured:
    """`seconds` is the best of the repeats. `value` is the contrast bought; `bound` what the best units would
    bring if a single root were worth half a pair, which no allocation exceeds; `unit` the dearest unit there
    is, so `bound - value <= unit` says the optimum is met up to the parity remainder. `worst_small` is the
    largest shortfall against dynamic programming over `small` random instances. `array_mib` is what the
    allocator allocates at most at once, `process_mib` the most this process ever held."""

    candidates: int
    roots: int
    cap: int
    seconds: float
    spent: int
    value: float
    bound: float
    unit: float
    small: int
    worst_small: float
    prefixes: int
    prefix_seconds: float
    array_mib: float
    process_mib: float

    @property
    def exact(self) -> bool:
        """Was the optimum met, up to the parity remainder?"""
        return self.bound - self.value <= self.unit + 1e-6 and self.worst_small <= 1e-9

    def json(self) -> dict[str, Any]:
        """All fields by name, and the verdict."""
        return {**asdict(self), "exact": self.exact}


def run(
    candidates: int = 1_000_000,
    roots: int = 100_000,
    *,
    cap: int = 8,
    repeats: int = 3,
    small: int = 200,
    prefixes: int = 100_000,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Share `roots` out over `candidates`, `repeats` times; then continuations over `prefixes` prefixes, as
    many; then `small` instances against the exact solver. ValueError for what cannot be measured."""
    if candidates < 1 or repeats < 1:
        raise ValueError(f"at least one candidate and one repeat, got {candidates} and {repeats}")
    v = np.random.default_rng(seed).beta(SHAPE, SHAPE, size=candidates)
    seconds = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        started = clock()
        counts = allocate_roots(v, roots, cap=cap, rng=rng)
        seconds.append(clock() - started)
    tracemalloc.start()
    allocate_roots(v, roots, cap=cap, rng=np.random.default_rng([seed, 0]))
    array = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    flips = np.random.default_rng([seed, 1]).beta(SHAPE, SHAPE, size=prefixes)
    started = clock()
    allocate_prefixes(flips, prefixes)
    prefix_seconds = clock() - started
    u = v * (1.0 - v)
    return Measured(
        candidates=candidates,
        roots=roots,
        cap=cap,
        seconds=min(seconds),
        spent=int(counts.sum()),
        value=float(root_contrast(v, counts).sum()),
        bound=_bound(v, roots, cap=cap),
        unit=float(u.max()),
        small=small,
        worst_small=_worst(small, seed=seed),
        prefixes=prefixes,
        prefix_seconds=prefix_seconds,
        array_mib=array / 2**20,
        process_mib=_peak_mib(),
    )


def _bound(v: Reals, total: int, *, cap: int) -> float:
    """The sum of the `total` best units, the first three of a prompt at u each: every allocation's value is
    the sum of as many units of this list, taken from the top of each prompt's."""
    u = v * (1.0 - v)
    units = np.concatenate([u] * min(cap, 3) + [root_marginal(v, m) for m in range(4, cap + 1)])
    many = min(total, len(units))
    return float(np.partition(units, len(units) - many)[len(units) - many :].sum()) if many else 0.0


def _worst(instances: int, *, seed: int) -> float:
    """The largest shortfall against dynamic programming over random small instances."""
    worst = 0.0
    for instance in range(instances):
        rng = np.random.default_rng([seed, 2, instance])
        v = rng.beta(SHAPE, SHAPE, size=int(rng.integers(1, 12)))
        total, cap = int(rng.integers(0, 30)), int(rng.integers(2, 10))
        best = root_contrast(v, allocate_roots_exact(v, total, cap=cap)).sum()
        worst = max(worst, float(best - root_contrast(v, allocate_roots(v, total, cap=cap)).sum()))
    return worst


def _peak_mib() -> float:
    """The most resident memory this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
