"""The landscapes are what they claim: martingales with known quadratic variation, and profiles apart."""

import random
from itertools import pairwise
from statistics import fmean

import pytest

from trace_gym.bench.martingale import DEPTH, DIFFICULTY, EDGE, FORESIGHT, Landscape


def path(landscape: Landscape, value: float, rng: random.Random) -> list[float]:
    values = [value]
    for turn in range(1, landscape.turns):
        values.append(landscape.step(values[-1], turn, rng))
    return [*values, float(rng.random() < values[-1])]


@pytest.mark.parametrize("depth", DEPTH)
@pytest.mark.parametrize("value", [0.1, 0.5, 0.8])
def test_values_are_martingales_whose_variation_is_v_times_one_minus_v(depth: str, value: float) -> None:
    """E[V_t] = V at every turn, and E of the summed squared increments to the end is V(1-V)."""
    landscape, rng = Landscape(turns=6, depth=depth), random.Random(1)
    paths = [path(landscape, value, rng) for _ in range(6000)]
    for turn in range(7):
        assert fmean(values[turn] for values in paths) == pytest.approx(value, abs=0.02)
    variation = fmean(sum((b - a) ** 2 for a, b in pairwise(v)) for v in paths)
    assert variation == pytest.approx(value * (1 - value), abs=0.02)


def test_depth_profiles_decide_early_or_late() -> None:
    """The share of the variation that lies in the first half of the turns."""
    shares = {}
    for depth in DEPTH:
        landscape, rng = Landscape(turns=6, depth=depth), random.Random(2)
        paths = [path(landscape, 0.5, rng) for _ in range(2000)]
        shares[depth] = fmean(sum((v[t + 1] - v[t]) ** 2 for t in range(3)) for v in paths) / 0.25
    assert shares["last"] == 0.0
    assert shares["early"] > 0.7 > shares["steady"] > shares["late"] < 0.2


@pytest.mark.parametrize("difficulty", DIFFICULTY)
def test_difficulties_are_reproducible_probabilities(difficulty: str) -> None:
    values = Landscape(difficulty=difficulty, tasks=500).values()
    assert values == Landscape(difficulty=difficulty, tasks=500).values()
    assert values != Landscape(difficulty=difficulty, tasks=500, seed=1).values()
    assert all(EDGE <= value <= 1 - EDGE for value in values)
    if difficulty == "wide":
        assert fmean(value in (EDGE, 1 - EDGE) for value in values) == pytest.approx(0.7, abs=0.06)


def test_predictors_distort_as_they_say() -> None:
    rng = random.Random(0)
    assert FORESIGHT["sharp"].predict(0.3, rng).mean == pytest.approx(0.3)
    assert FORESIGHT["cold"].predict(0.9, rng).mean == 0.5
    biased = fmean(FORESIGHT["biased"].predict(0.3, rng).mean for _ in range(500))
    assert biased > 0.5
    told = [FORESIGHT["overconfident"].predict(0.8, rng).mean for _ in range(500)]
    assert fmean(told) > 0.9


def test_bad_profiles_are_refused() -> None:
    with pytest.raises(ValueError, match="difficulty must be one of u, wide, hard, even, got 'odd'"):
        Landscape(difficulty="odd")
    with pytest.raises(ValueError, match="depth must be one of"):
        Landscape(depth="odd")
    with pytest.raises(ValueError, match="at least one task"):
        Landscape(tasks=0)
