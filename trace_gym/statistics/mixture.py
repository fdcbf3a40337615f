"""How success probabilities are spread over a set of tasks, learnt from few attempts at each.

The spread is a distribution on a grid, found by maximum likelihood (nonparametric: Laird 1978), which knows
tasks that never or always succeed. Leaves out what to do with it: see `adaptive`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TAIL = (0.01, 0.02, 0.04, 0.07)
GRID: Array = np.array(
    [0.0, *_TAIL, *np.linspace(0.1, 0.9, 17), *(1 - share for share in reversed(_TAIL)), 1.0]
)
ROUNDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """What is believed of T tasks, every array (T,): the `mean` success probability, the `noise` E[p(1-p)] of
    an attempt, and the `doubt` Var(p). An attempt's predictive variance mean(1-mean) is noise + doubt."""

    mean: Array
    noise: Array
    doubt: Array


def beliefs(wins: Array, attempts: Array) -> Beliefs:
    """Posterior moments of every task's success probability under the spread that explains all tasks best.

    `wins` and `attempts` (T,) need not be whole numbers. Two tasks' worth of the uniform spread over the grid
    are mixed in, so that no task is ever taken for certain.
    """
    likelihood = _likelihood(wins, attempts, GRID)
    share = np.full(len(GRID), 1 / len(GRID))
    for _ in range(ROUNDS):
        share = _posterior(likelihood, share).mean(axis=0)
    tasks = len(wins)
    return _moments(_posterior(likelihood, (tasks * share + 2 / len(GRID)) / (tasks + 2)), GRID)


def informed(wins: Array, attempts: Array, spread: Array) -> Beliefs:
    """The same of one who knows the success probabilities `spread` (S,) exactly, but not whose each is."""
    values, counts = np.unique(spread, return_counts=True)
    return _moments(_posterior(_likelihood(wins, attempts, values), counts / len(spread)), values)


def _likelihood(wins: Array, attempts: Array, grid: Array) -> Array:
    """Of every task's outcomes under every value of the grid (T, G), its largest being 1."""
    with np.errstate(divide="ignore"):
        won, lost = np.log(grid), np.log1p(-grid)
    fails = attempts - wins
    logs = np.where(wins[:, None] > 0, wins[:, None] * np.maximum(won, -1e9), 0.0)
    logs += np.where(fails[:, None] > 0, fails[:, None] * np.maximum(lost, -1e9), 0.0)
    likelihood: Array = np.exp(logs - logs.max(axis=1, keepdims=True))
    return likelihood


def _moments(posterior: Array, grid: Array) -> Beliefs:
    mean = posterior @ grid
    return Beliefs(mean, posterior @ (grid * (1 - grid)), np.maximum(posterior @ grid**2 - mean**2, 0.0))


def _posterior(likelihood: Array, share: Array) -> Array:
    joint = likelihood * share
    posterior: Array = joint / joint.sum(axis=1, keepdims=True)
    return posterior
