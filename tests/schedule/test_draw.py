"""Drawing prompts: how many, which, and how likely."""

import numpy as np
import pytest

from trace_gym.schedule.draw import in_proportion, lowest, uniformly


def test_uniformly() -> None:
    rng = np.random.default_rng(0)
    places, share = uniformly(4, 2, rng=rng)
    assert places == sorted(places)
    assert (len(set(places)), share) == (2, 0.5)
    assert uniformly(3, 9, rng=rng) == ([0, 1, 2], 1.0)
    assert uniformly(0, 2, rng=rng) == ([], 0.0)
    times = np.bincount([p for _ in range(400) for p in uniformly(4, 1, rng=rng)[0]], minlength=4)
    assert times.min() > 60


def test_in_proportion_by_hand() -> None:
    """Three of weights 1, 2, 5 and 8: the last two are sure, for 3 * 8 / 16 and 2 * 5 / 8 are above 1."""
    rng = np.random.default_rng(0)
    drawn = [in_proportion(np.array([1.0, 2.0, 5.0, 8.0]), 3, rng=rng) for _ in range(3000)]
    assert drawn[0][1] == pytest.approx([1 / 3, 2 / 3, 1.0, 1.0])
    assert all(places.tolist() in ([0, 2, 3], [1, 2, 3]) for places, _ in drawn)
    assert np.mean([0 in places for places, _ in drawn]) == pytest.approx(1 / 3, abs=0.04)


@pytest.mark.parametrize("seed", range(5))
def test_in_proportion_draws_as_many_as_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.random(60) ** 8 + 1e-12
    seen = np.zeros(60)
    for _ in range(2000):
        places, chance = in_proportion(weight, 20, rng=rng)
        assert (len(set(places.tolist())), places.tolist()) == (20, sorted(places.tolist()))
        seen[places] += 1
    assert chance.sum() == pytest.approx(20)
    assert seen / 2000 == pytest.approx(chance, abs=0.06)
    assert in_proportion(weight, 90, rng=rng)[0].tolist() == list(range(60))
    assert in_proportion(weight, 0, rng=rng)[0].tolist() == []
    assert in_proportion(np.zeros(0), 3, rng=rng)[0].tolist() == []


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
