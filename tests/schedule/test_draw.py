"""Drawing prompts: how many, which, and how likely."""

import numpy as np
import pytest

from trace_gym.schedule.draw import lowest, uniformly


def test_uniformly() -> None:
    rng = np.random.default_rng(0)
    places, share = uniformly(4, 2, rng=rng)
    assert places == sorted(places)
    assert (len(set(places)), share) == (2, 0.5)
    assert uniformly(3, 9, rng=rng) == ([0, 1, 2], 1.0)
    assert uniformly(0, 2, rng=rng) == ([], 0.0)
    times = np.bincount([p for _ in range(400) for p in uniformly(4, 1, rng=rng)[0]], minlength=4)
    assert times.min() > 60


def test_lowest_breaks_ties_at_random() -> None:
    """.1 is chosen for sure; of the three at .3 one."""
    score, seen = np.array([0.3, 0.1, 0.3, 0.3, 0.9]), []
    for seed in range(40):
        chosen, chance = lowest(score, 2, rng=np.random.default_rng(seed))
        assert chance[chosen.tolist().index(1)] == 1.0
        [other] = [i for i in chosen.tolist() if i != 1]
        assert chance[chosen.tolist().index(other)] == pytest.approx(1 / 3)
        seen.append(other)
    assert set(seen) == {0, 2, 3}
    chosen, chance = lowest(score, 9, rng=np.random.default_rng(0))
    assert chosen.tolist() == [0, 1, 2, 3, 4]
    assert chance.tolist() == [1.0] * 5
    assert lowest(score, 0, rng=np.random.default_rng(0))[0].tolist() == []
