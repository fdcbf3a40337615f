"""How good adaptive evaluation is: coverage of its intervals, and how much of the best allocation's saving it
reaches, simulated on spreads of success and on recorded runs.

Leaves out how long anything takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trace_gym.core.errors import BadConfig, boundary
from trace_gym.statistics.simulation import Population, Simulated, simulate
from trace_gym.store import Store

TASKS = 200
MOST = 100.0
"""Attempts a task after which an evaluation that aims at a width is given up."""

SPREADS: Mapping[str, tuple[float, float]] = {
    "half-known (Beta .3 .3)": (0.3, 0.3),
    "mostly hard (Beta .2 .6)": (0.2, 0.6),
    "even (Beta 1 1)": (1.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table: a population, the budget in attempts a task, the half width that ends it sooner,
    the attempts known beforehand."""

    population: str
    budget: float
    width: float | None
    prior: int
    found: Simulated

    def json(self) -> dict[str, Any]:
        """The row as JSON data."""
        found = self.found
        return {
            "population": self.population,
            "budget": self.budget,
            "half_width_aimed_at": self.width,
            "prior_attempts": self.prior,
            "runs": found.runs,
            "coverage": found.covered / found.runs,
            "coverage_anytime": found.covered_always / found.runs,
            "bias_in_errors": found.bias,
            "half_width": found.half_width,
            "spent": found.spent,
            "uniform_would_spend": found.uniform,
            "best_would_spend": found.best,
            "saving_reached": found.saving,
            "saving_informed": found.informed,
        }


def spreads(seed: int) -> dict[str, Population]:
    """Populations drawn from the spreads above, and one of tasks most of which are never or always solved."""
    rng = np.random.default_rng(seed)
    drawn = {name: rng.beta(a, b, size=TASKS) for name, (a, b) in SPREADS.items()}
    certain = np.concatenate([np.zeros(80), np.ones(60), rng.random(TASKS - 140)])
    everything = {**drawn, "70 % certain": certain}
    return {name: Population(success, np.ones(len(success))) for name, success in everything.items()}


def recorded(folder: Path) -> Population:
    """The tasks of an evaluation that was kept: their success shares, and the tokens (turns, for agents
    without tokens) of an attempt. Raises RunFolderError."""
    with Store.open(folder, read_only=True) as store:
        trees = store.forest(0).trees
    shares, prices = [], []
    for tree in trees:
        episodes = [tree.episode(number) for number, r in enumerate(tree.rollouts) if r.stop is not None]
        scored = [episode for episode in episodes if episode.success is not None]
        if scored:
            shares.append(float(np.mean([bool(episode.success) for episode in scored])))
            tokens = float(np.mean([episode.cost.decoded for episode in scored]))
            prices.append(tokens or float(np.mean([len(episode.turns) - 1 for episode in scored])))
    return Population(np.array(shares), np.array(prices))


def written(file: Path) -> dict[str, Population]:
    """Populations from a JSON file of outcomes: by name a list of tasks, each `[key, family, "0110...", turns
    of every attempt, tokens of every attempt]`. Raises BadConfig."""
    with boundary(BadConfig, OSError, ValueError, TypeError, what=f"{file} holds no recorded outcomes"):
        return {name: _population(rows) for name, rows in json.loads(file.read_text()).items()}


def _population(rows: Sequence[tuple[str, str, str, list[int], list[int]]]) -> Population:
    shares = [marks.count("1") / len(marks) for _, _, marks, _, _ in rows]
    prices = [float(np.mean(tokens) or np.mean(turns)) for _, _, _, turns, tokens in rows]
    return Population(np.array(shares), np.array(prices))


def measure(
    populations: Mapping[str, Population],
    *,
    budgets: Sequence[float],
    priors: Sequence[int],
    runs: int,
    seed: int,
    widths: Sequence[float] = (),
) -> Iterable[Row]:
    """Every population at every budget, and until every half width is reached, cold and with attempts known
    from another evaluation."""
    cells = [*((budget, None) for budget in budgets), *((MOST, width) for width in widths)]
    for name, population in populations.items():
        for prior in priors:
            for budget, width in cells:
                found = simulate(
                    population, budget=budget, runs=runs, seed=seed, prior=prior, half_width=width
                )
                yield Row(name, budget, width, prior, found)
