"""Adaptive allocation: Neyman's rule against a numerical optimum, rounds without bias, intervals that cover,
and how much of the best allocation's saving is reached on recorded success vectors."""

import numpy as np
import pytest
from scipy import optimize, stats

from tests.statistics.recorded import recorded
from trace_gym.statistics.adaptive import AdaptiveRounds, drawn, neyman
from trace_gym.statistics.mixture import beliefs
from trace_gym.statistics.simulation import Population, simulate


def population(name: str) -> Population:
    """A recorded evaluation as the truth: success probabilities, and tokens (turns for an agent without)."""
    rows = recorded(name)
    tokens = [float(np.mean(row.tokens)) or float(np.mean(row.turns)) for row in rows]
    return Population(np.array([np.mean(row.outcomes) for row in rows]), np.array(tokens))


# The allocation.


def test_neymans_allocation_is_the_numerical_optimum():
    rng = np.random.default_rng(0)
    variance, price = rng.random(6) * 0.25, 1 + rng.random(6) * 5
    expected = neyman(variance, price, 60.0, least=0.5)
    assert expected @ price == pytest.approx(60.0)
    found = optimize.minimize(
        lambda e: float(np.sum(variance / e)),
        np.full(6, 60 / price.sum()),
        method="SLSQP",
        bounds=[(0.5, None)] * 6,
        constraints={"type": "eq", "fun": lambda e: float(e @ price) - 60.0},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert np.sum(variance / expected) == pytest.approx(found.fun, rel=1e-6)
    assert expected == pytest.approx(found.x, rel=1e-2)


def test_no_task_is_forgotten():
    expected = neyman(np.array([0.25, 0.0, 0.0, 0.2]), np.ones(4), 10.0, least=0.1)
    assert expected[1] == expected[2] == 0.1
    assert expected.sum() == pytest.approx(10.0)
    assert neyman(np.array([0.2, 0.1]), np.array([1.0, 3.0]), 0.2) == pytest.approx([0.05, 0.05])


def test_attempts_are_drawn_with_the_expected_mean():
    rng = np.random.default_rng(1)
    expected = np.array([0.1, 2.5, 0.3, 1.0, 3.1])
    counts = np.array([drawn(expected, rng) for _ in range(8000)])
    assert counts.mean(axis=0) == pytest.approx(expected, abs=0.03)
    assert ((counts == np.floor(expected)) | (counts == np.ceil(expected))).all()
    assert set(counts.sum(axis=1)) <= {7}


def test_the_spread_of_tasks_is_learnt_from_few_attempts():
    rng = np.random.default_rng(2)
    truth = np.concatenate([np.zeros(300), np.full(100, 0.5)])
    wins = rng.binomial(4, truth).astype(float)
    held = beliefs(wins, np.full(400, 4.0))
    assert held.mean.mean() == pytest.approx(wins.mean() / 4, abs=0.01)
    assert held.noise[wins == 0].mean() < 0.05 < 0.2 < held.noise[wins == 2].mean()
    assert (held.doubt >= 0).all()
    assert (held.noise + held.doubt) == pytest.approx(held.mean * (1 - held.mean))


# The estimate.


def test_one_round_of_equal_attempts_is_the_plain_mean():
    rounds = AdaptiveRounds(np.zeros(3), np.zeros(3))
    counts, wins = np.full(3, 4.0), np.array([4.0, 1.0, 2.0])
    rounds.close(counts, counts, wins, None)
    found = rounds.estimate()
    assert found.mean == pytest.approx(7 / 12)
    assert found.low < found.mean < found.high
    assert found.anytime[0] < found.low
    with pytest.raises(ValueError, match="no round"):
        AdaptiveRounds(np.zeros(1), np.zeros(1)).estimate()


def test_a_round_by_hand():
    """Task 0 is expected 2.0 times, tasks 1 and 2 half a time each, of which task 1 was drawn."""
    rounds = AdaptiveRounds(np.array([1.0, 0.0, 0.0]), np.array([2.0, 2.0, 2.0]))
    before = rounds.beliefs()
    rounds.close(np.array([2.0, 0.5, 0.5]), np.array([2.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0]), before)
    guess = before.mean
    by_task = [0.5, guess[1] + (1 - guess[1]) / 0.5, guess[2]]
    assert rounds.estimate().mean == pytest.approx(np.mean(by_task))
    only = rounds.estimate(np.array([True, False, False]))
    assert only.mean == pytest.approx(0.5)


def test_a_round_with_losses_by_hand():
    """Of four attempts each two, four and none had an outcome; where half an attempt was expected, one was
    made and lost. Where nothing is known the guess stands, as unsure as it is."""
    rounds = AdaptiveRounds(np.array([1.0, 1.0, 1.0, 1.0]), np.full(4, 2.0))
    expected, drawn_ = np.array([4.0, 4.0, 4.0, 0.5]), np.array([4.0, 4.0, 4.0, 1.0])
    counts, wins = np.array([2.0, 4.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0])
    rounds.close(expected, counts, wins, rounds.beliefs(), drawn=drawn_)
    (last,) = rounds.rounds
    assert last.estimates == pytest.approx([0.5, 0.25, last.guess[2], last.guess[3]])
    noise, doubt = np.full(4, 0.2), np.full(4, 0.03)
    assert last.variances(noise, doubt) == pytest.approx([0.1, 0.05, 0.03, 0.03])


def test_tasks_without_any_outcome_are_in_no_estimate():
    """Task 2 was tried in vain; task 3 was not tried, as chance would have it, and stays."""
    rounds = AdaptiveRounds(np.zeros(4), np.full(4, 2.0))
    expected, counts = np.array([2.0, 2.0, 2.0, 0.5]), np.array([2.0, 2.0, 0.0, 0.0])
    assert rounds.left().all()
    made, wins = np.array([2.0, 2.0, 2.0, 0.0]), np.array([2.0, 0.0, 0.0, 0.0])
    rounds.close(expected, counts, wins, rounds.beliefs(), drawn=made)
    assert rounds.left().tolist() == [True, True, False, True]
    assert rounds.estimate().mean == pytest.approx((1.0 + 0.0 + rounds.rounds[0].guess[3]) / 3)
    assert rounds.estimate(np.array([True, False, True, False])).mean == 1.0
    for silent in ([False, False, True, False], [False, False, False, True]):
        with pytest.raises(ValueError, match="no round has brought an outcome"):
            rounds.estimate(np.array(silent))
    again = np.where(rounds.left(), 2.0, 0.0)
    rounds.close(again, again, np.array([2.0, 0.0, 0.0, 1.0]), rounds.beliefs())
    assert 0.3 < rounds.estimate().mean < 0.7


def test_attempts_that_come_to_nothing_leave_estimates_unbiased_and_covered():
    """Two fifths of all attempts are lost, whatever they would have come to."""
    rng, truth, errors, covered = np.random.default_rng(4), np.linspace(0, 1, 30), [], 0
    for _ in range(150):
        rounds = AdaptiveRounds(np.zeros(30), np.zeros(30))
        for size in (2, 1, 2, 3):
            before = rounds.beliefs() if rounds.rounds else None
            expected = np.where(rounds.left(), 2.0, 0.0)
            if before is not None:
                left = rounds.left()
                variance = (before.noise + before.doubt)[left]
                expected[left] = neyman(variance, np.ones(len(variance)), float(size * len(variance)))
            made = drawn(expected, rng)
            counts = rng.binomial(made, 0.6)
            wins = rng.binomial(counts, truth)
            rounds.close(expected, counts.astype(float), wins.astype(float), before, drawn=made.astype(float))
        found, target = rounds.estimate(), truth[rounds.left()].mean()
        errors.append((found.mean - target) / found.error)
        covered += found.low <= target <= found.high
    assert abs(np.mean(errors)) < 4 / np.sqrt(150)
    assert stats.binomtest(covered, 150, 0.95, alternative="less").pvalue > 0.01


def test_where_everything_fails_the_interval_still_has_a_width():
    rounds = AdaptiveRounds(np.zeros(50), np.zeros(50))
    rounds.close(np.full(50, 4.0), np.full(50, 4.0), np.zeros(50), None)
    found = rounds.estimate()
    assert (found.mean, found.low) == (0.0, 0.0)
    assert 0.001 < found.high < 0.05


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_where_later_rounds_agree_with_the_first_the_interval_is_narrow(outcome):
    """Twenty tasks, eight attempts at each on average, all alike: guesses keep the estimate off 0 and 1 by a
    hair, and that is no reason to know less."""
    rounds, rng = AdaptiveRounds(np.zeros(20), np.zeros(20)), np.random.default_rng(0)
    for size in (2, 2, 4):
        before = rounds.beliefs() if rounds.rounds else None
        expected = np.full(20, 2.0) if before is None else neyman(np.ones(20), np.ones(20), 20.5 * size)
        counts = drawn(expected, rng).astype(float)
        rounds.close(expected, counts, outcome * counts, before)
        found = rounds.estimate()
        assert found.mean == pytest.approx(outcome, abs=1e-4)
        assert found.low <= outcome <= found.high
        assert found.anytime[0] <= outcome <= found.anytime[1]
    assert found.high - found.low < 0.06


@pytest.mark.parametrize(
    ("rate", "least"), [(0.0, 1.0), (0.001, 0.85), (0.01, 0.95), (0.5, 0.95), (0.99, 0.95), (1.0, 1.0)]
)
@pytest.mark.parametrize(("tasks", "budget"), [(20, 8.0), (40, 6.0)])
def test_intervals_cover_at_any_rate(rate, least, tasks, budget):
    """Where less than one win is expected, Wilson's of 160 plain attempts covers .001 in .85 of all cases."""
    found = simulate(Population(np.full(tasks, rate), np.ones(tasks)), budget=budget, runs=100, seed=6)
    assert stats.binomtest(found.covered, found.runs, least, alternative="less").pvalue > 0.01
    assert found.half_width < 0.1


# Simulation on recorded success vectors.


@pytest.mark.parametrize("name", ["wikihop_compact_plain", "wikihop_compact_plain_cool", "guess"])
def test_intervals_cover_and_estimates_are_unbiased(name):
    """Four rounds, the last of which is sized by what the first ones showed."""
    found = simulate(population(name), budget=10.0, runs=150, seed=0)
    assert stats.binomtest(found.covered, found.runs, 0.95, alternative="less").pvalue > 0.01
    assert found.covered_always >= found.runs * 0.95
    assert abs(found.bias) < 4 / np.sqrt(found.runs)
    assert 0.75 < found.claimed / found.seen < 1.3


def test_stopping_at_a_width_does_not_spoil_coverage():
    found = simulate(population("wikihop_compact_plain_cool"), budget=64.0, runs=150, seed=1, half_width=0.01)
    assert stats.binomtest(found.covered, found.runs, 0.95, alternative="less").pvalue > 0.01
    assert found.spent < 16


def test_what_can_be_reached_grows_with_what_is_known_and_is_all_for_the_omniscient():
    known = population("wikihop_compact")
    found = [simulate(known, budget=8.0, runs=10, prior=prior).informed for prior in (0, 16, 64, 1000)]
    assert found == sorted(found)
    assert found[0] < 0.2
    assert found[1] < 0.5, "one failure in sixteen is too little to tell a task by: four fifths cannot be"
    assert found[3] > 0.9
    same = Population(np.full(5, 0.5), np.ones(5))
    assert simulate(same, budget=8.0, runs=2).informed == 1.0


def test_knowing_the_spread_exactly_would_save_hardly_more():
    """What keeps from the best allocation's saving is not to know which task is which."""
    found = simulate(population("wikihop_compact_plain"), budget=16.0, runs=50, seed=4, prior=16)
    assert found.saving == pytest.approx(found.informed, abs=0.06)
    assert 0.5 < found.saving < 0.8


@pytest.mark.parametrize("tasks", [10, 40])
def test_intervals_of_few_tasks_cover(tasks):
    spread = np.random.default_rng(7).beta(0.3, 0.3, tasks)
    found = simulate(Population(spread, np.ones(tasks)), budget=6.0, runs=200, seed=5)
    assert stats.binomtest(found.covered, found.runs, 0.95, alternative="less").pvalue > 0.01


def test_with_an_earlier_run_four_fifths_of_the_best_saving_are_reached():
    found = simulate(population("wikihop_compact_plain_cool"), budget=8.0, runs=40, seed=2, prior=16)
    assert found.saving >= 0.8
    assert found.uniform / found.spent > 3
