"""pass@k (one of k attempts succeeds) and pass^k (all k do), and what missing attempts leave open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import comb
from typing import TypeAlias

from trace_gym.statistics.interval import Interval, mean_interval

PassRule: TypeAlias = Callable[[int, int, int], float]


def any_of(k: int, wins: int, attempts: int) -> float:
    """Unbiased estimate of P(at least one of k attempts succeeds) from `wins` of `attempts` >= k:
    1 - C(n-s, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374, equation 1)."""
    return 1 - comb(attempts - wins, k) / comb(attempts, k)


def all_of(k: int, wins: int, attempts: int) -> float:
    """Unbiased estimate of P(all of k attempts succeed): C(s, k) / C(n, k) (Yao et al. 2024, arXiv
    2406.12045)."""
    return comb(wins, k) / comb(attempts, k)


def pass_interval(
    rule: PassRule, k: int, attempts: Mapping[str, Sequence[bool]], families: Mapping[str, str]
) -> Interval:
    """The mean of `any_of` or `all_of` over the tasks with at least k attempts, clustered as success is."""
    if k < 1:
        raise ValueError(f"pass@k needs k >= 1, got {k}")
    values = {
        task: rule(k, sum(results), len(results)) for task, results in attempts.items() if len(results) >= k
    }
    return mean_interval(values, families)


def possible(
    attempts: Mapping[str, Sequence[bool]], missing: Mapping[str, int]
) -> tuple[float, float] | None:
    """The least and the largest mean success over the tasks that could have come out: had all `missing[task]`
    attempts failed, or succeeded. None where there are neither attempts nor missing ones."""
    low = high = 0.0
    tasks = [task for task in {**attempts, **missing} if len(attempts.get(task, ())) + missing.get(task, 0)]
    if not tasks:
        return None
    for task in tasks:
        results, lost = attempts.get(task, ()), missing.get(task, 0)
        wins, n = sum(results), len(results) + lost
        low += wins / n
        high += (wins + lost) / n
    return low / len(tasks), high / len(tasks)
