"""Figures against closed forms: uniform groups, the oracle's regret, the bias of the backup."""

from statistics import fmean

import numpy as np
import pytest

from trace_gym.bench.allocation import Case, Found, measure, run, simulate, summary
from trace_gym.bench.martingale import Landscape
from trace_gym.bench.simulation import PREDICTORS, Simulation
from trace_gym.core.errors import BadConfig, UnknownName
from trace_gym.schedule.catalogue import names
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.contrast import root_contrast
from trace_gym.schedule.rule import Choice
from trace_gym.schedule.uniform import UniformRoots

SMALL = Landscape(tasks=64, turns=4)


def figures(method: str, predictor: str = "sharp", *, landscape: Landscape = SMALL, steps: int = 40):
    return simulate(Case(method, predictor, landscape, 32, 48, steps, 0))


def test_uniform_groups_have_the_contrast_of_the_formula() -> None:
    """n = 8 roots each: the mean of V_root(v, 8) over the tasks is the effective ratio and, over 8, the
    contrast a trajectory."""
    found = figures("uniform", steps=400)
    expected = float(root_contrast(SMALL.values(), 8).mean())
    assert found["effective_ratio"] == pytest.approx(expected, abs=0.02)
    assert found["contrast"] == pytest.approx(expected / 8, abs=0.004)
    assert found["leaves_per_tree"] == 8
    assert found["turns_each"] == 4


def test_trace_with_the_truth_leaves_nothing_to_regret() -> None:
    found = figures("trace")
    assert found["regret_roots"] == pytest.approx(0.0, abs=1e-9)
    assert found["regret_forks"] == pytest.approx(0.0, abs=1e-9)
    assert found["bias_bare_middle"] == pytest.approx(0.0, abs=0.03)


def test_a_cold_predictor_regrets_more_and_random_forks_as_much() -> None:
    sharp, cold = figures("trace"), figures("trace", "cold")
    assert cold["regret_roots"] > 0.3
    assert cold["contrast"] < sharp["contrast"] / 2
    random = figures("trace_random_forks", "cold")
    assert random["contrast"] == pytest.approx(cold["contrast"], abs=0.02)


class AfterFailure:
    """Two continuations of the first turn of every failure."""

    per_root = 2

    def choose(self, played, count, *, step, rng):
        return [Choice(t.prefixes[0], 2, "after a failure") for t in played.trajectories if not t.success]


def test_the_bias_of_the_backup_has_its_closed_form() -> None:
    """V = p everywhere (only the last turn decides) and k = 2 continuations after a failure. With one root
    the root's backup is 1 with p, else the mean of a failure and two coins: p + (1-p) p k/(k+1). Bare targets
    stay unbiased."""
    landscape = Landscape(tasks=200, turns=3, difficulty="even", depth="last")
    scheduler = Composed(UniformRoots(1), AfterFailure(), fresh_roots=False)
    simulation = Simulation(landscape, scheduler, "sharp", pool=60, budget=180, seed=1)
    found, truth = Found(), []
    for _ in range(60):
        played = simulation.step()
        measure(found, played)
        truth += [grown.values[0] for grown in played.grown]
    told = summary(found, tasks=200)
    levels = {"low": (0, 0.25), "middle": (0.25, 0.75), "high": (0.75, 1)}
    for level, (least, most) in levels.items():
        v = np.array([p for p in truth if least <= p <= most])
        assert told[f"bias_backup_{level}"] == pytest.approx(float(((1 - v) * v * 2 / 3).mean()), abs=0.03)
        assert told[f"bias_bare_{level}"] == pytest.approx(0.0, abs=0.04)


def test_starvation_counts_tasks_never_played() -> None:
    """One step of 6 groups leaves 58 of 64 unplayed."""
    assert figures("uniform", steps=1)["starved"] == pytest.approx(58 / 64)
    assert figures("uniform", steps=200)["starved"] == 0.0


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_every_method_runs_under_every_predictor(predictor: str) -> None:
    rows = run([*names(), "trace_plus?queue=true"], [predictor], SMALL, pool=16, budget=48, steps=2, seeds=2)
    assert [row.method for row in rows] == [*names(), "trace_plus?queue=true"]
    for row in rows:
        assert 0.0 < row.figures["contrast"] < 1.0
        low, high = row.intervals["contrast"]
        assert low <= row.figures["contrast"] <= high
        assert row.steps_per_minute > 0


@pytest.mark.parametrize("option", ["cut_below=0.1", "guide_share=0.2"])
def test_what_only_real_tasks_have_is_refused(option: str) -> None:
    with pytest.raises(BadConfig, match="leave cut_below and guide_share out"):
        run([f"trace?{option}"], ["sharp"], SMALL, steps=1, seeds=1)


def test_processes_change_nothing() -> None:
    one = run(["trace", "uniform"], ["noisy"], SMALL, steps=3, seeds=2)
    two = run(["trace", "uniform"], ["noisy"], SMALL, steps=3, seeds=2, jobs=2)
    assert [row.figures for row in one] == [row.figures for row in two]
    assert fmean(row.figures["contrast"] for row in one) > 0


def test_wrong_cases_are_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'trace'"):
        run(["trac"], ["sharp"], SMALL)
    with pytest.raises(ValueError, match="predictor must be one of sharp"):
        run(["trace"], ["wise"], SMALL)
    with pytest.raises(ValueError, match="must be at least 1"):
        run(["trace"], ["sharp"], SMALL, steps=0)
