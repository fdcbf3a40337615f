"""Prompts drawn by contrast: how often which, and that the protocol holds."""

import numpy as np
import pytest

from trace_gym.core.budget import Budget
from trace_gym.schedule.catalogue import make
from trace_gym.schedule.proportional import ProportionalRoots
from trace_gym.testing import Trial, check_scheduler


@pytest.mark.parametrize("forks", ["none", "treepo", "trace"])
@pytest.mark.parametrize("predictions", [True, False])
def test_it_keeps_the_protocol(forks: str, predictions: bool) -> None:
    trial = Trial(seed=1, trajectories=48, predictions=predictions)
    check_scheduler(lambda: make(f"proportional+{forks}", {"n": 2}, seed=3), trial=trial)


def test_chances_are_in_proportion_to_contrast(world) -> None:
    """Two of four prompts: contrasts .5, .5, .18 and .02, so chances .833, .833, .3 and .033."""
    pool = world(values=[0.5, 0.5, 0.1, 0.99], turns=[3] * 4).pool()
    rule, rng, seen = ProportionalRoots(), np.random.default_rng(0), np.zeros(4)
    for _ in range(2000):
        choices = rule.choose(pool, 4, step=0, rng=rng)
        assert [choice.count for choice in choices] == [2, 2]
        for choice in choices:
            seen[choice.place] += 1
            assert choice.propensity == pytest.approx(
                [0.8347, 0.8347, 0.3005, 0.0331][choice.place], abs=2e-3
            )
    assert seen / 2000 == pytest.approx([0.8347, 0.8347, 0.3005, 0.0331], abs=0.04)


def test_power_makes_it_greedier_or_blind(world) -> None:
    pool = world(values=[0.5, 0.5, 0.1, 0.99], turns=[3] * 4).pool()
    rng = np.random.default_rng(0)
    (sharp, _) = ProportionalRoots(power=8.0).choose(pool, 4, step=0, rng=rng)
    assert sharp.propensity > 0.99
    extreme = ProportionalRoots(power=2000.0).choose(pool, 6, step=0, rng=rng)
    assert {choice.place for choice in extreme} >= {0, 1}
    assert len(extreme) == 3
    blind = [c.propensity for c in ProportionalRoots(power=0.0).choose(pool, 4, step=0, rng=rng)]
    assert blind == [0.5, 0.5]


def test_bad_numbers_are_refused() -> None:
    for options, message in (
        ({"n": 1}, "n must be at least 2"),
        ({"power": -1.0}, "power must not be negative"),
    ):
        with pytest.raises(ValueError, match=message):
            ProportionalRoots(**options)


def test_without_a_bound_all_prompts_are_played(world) -> None:
    pool = world(values=[0.5, 0.5, 0.1], turns=[3] * 3).pool()
    grants = make("proportional", {}, seed=0).propose(pool, Budget(tokens=1000))
    assert [grant.count for grant in grants] == [2, 2, 2]
