"""The least part of a step's roots that a suite keeps, whatever the rule thinks of it.

A rule that looks for contrast gives a suite nothing as long as it takes all of it for hopeless or for solved,
and then never learns better. Leaves out continuations: they follow a prompt's roots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.rule import Choice, RootRule


def checked(floors: Mapping[str, float]) -> Mapping[str, float]:
    """Floors by suite as they came. ValueError unless each is a share and all of them leave no less than
    nothing."""
    for suite, floor in floors.items():
        if not 0.0 <= floor <= 1.0:
            raise ValueError(f"the floor of suite {suite!r} must lie in [0, 1], got {floor}")
    if sum(floors.values()) > 1.0 + 1e-9:
        raise ValueError(f"the floors of the suites add up to {sum(floors.values()):g}, more than everything")
    return floors


def choose_above(
    floors: Mapping[str, float],
    rule: RootRule,
    pool: Sequence[Candidate],
    limit: int | None,
    *,
    step: int,
    rng: np.random.Generator,
) -> Sequence[Choice]:
    """What `rule` chooses, unless that gives a suite of the pool less than its floor of these roots (rounded
    down): then it chooses among the suite's own candidates within that part, and among the others' within the
    rest. The parts are of the limit, or of what the rule chose where it has a bound of its own."""
    chosen = rule.choose(pool, limit, step=step, rng=rng)
    total, suites = sum(choice.count for choice in chosen), {c.index: c.suite for c in pool}
    whole = limit if limit is not None and rule.pool_size is None else total
    kept: dict[str, int] = {}
    while True:
        got: Counter[str] = Counter()
        for choice in chosen:
            got[suites[choice.place]] += choice.count
        short = [
            suite
            for suite in dict.fromkeys(suites.values())
            if suite not in kept and got[suite] < int(floors.get(suite, 0.0) * total)
        ]
        if not short:
            break
        kept |= {suite: int(floors[suite] * whole) for suite in short}
        others = [candidate for candidate in pool if candidate.suite not in kept]
        rest = whole - sum(kept.values())
        chosen = rule.choose(others, rest, step=step, rng=rng) if others and rest else []
    own = [
        rule.choose([c for c in pool if c.suite == suite], least, step=step, rng=rng)
        for suite, least in kept.items()
    ]
    return [*chosen, *(choice for choices in own for choice in choices)]
