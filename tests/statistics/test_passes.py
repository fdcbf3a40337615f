"""pass@k and pass^k against enumeration of all subsets; what missing attempts leave open, by hand."""

from itertools import combinations

import numpy as np
import pytest

from tests.statistics.recorded import attempts
from trace_gym.statistics import all_of, any_of, pass_interval, possible


def test_they_are_the_share_of_subsets_in_which_one_or_all_succeed():
    for results in ([True, False, False, True, False], [True, True, True, False], [False, False]):
        for k in range(1, len(results) + 1):
            subsets = list(combinations(results, k))
            wins, n = sum(results), len(results)
            assert any_of(k, wins, n) == pytest.approx(sum(map(any, subsets)) / len(subsets))
            assert all_of(k, wins, n) == pytest.approx(sum(map(all, subsets)) / len(subsets))


def test_few_attempts_estimate_what_many_would_show_without_bias():
    """From 4 of 16 recorded attempts, over all ways to draw them, pass@2 and pass^2 average to their value
    from all 16."""
    rng = np.random.default_rng(0)
    outcomes, families = attempts("wikihop_compact_plain")
    for rule in (any_of, all_of):
        whole = pass_interval(rule, 2, outcomes, families).mean
        drawn = []
        for _ in range(300):
            few = {task: list(rng.permutation(results)[:4]) for task, results in outcomes.items()}
            drawn.append(np.mean([rule(2, int(sum(results)), 4) for results in few.values()]))
        assert np.mean(drawn) == pytest.approx(whole, abs=4 * np.std(drawn) / np.sqrt(len(drawn)))


def test_tasks_with_too_few_attempts_are_left_out_and_counted():
    found = pass_interval(
        any_of, 2, {"a": [True, False], "b": [True], "c": [False, False]}, dict.fromkeys("abc", "f")
    )
    assert (found.mean, found.clusters, found.unit) == (0.5, 2, "task")
    assert pass_interval(any_of, 3, {"a": [True]}, {"a": "f"}).mean is None
    with pytest.raises(ValueError, match="k >= 1"):
        pass_interval(any_of, 0, {}, {})


def test_what_is_missing_leaves_a_range_open():
    outcomes = {"a": [True, False], "b": [True], "c": [True]}
    assert possible(outcomes, {}) == (pytest.approx(2.5 / 3), pytest.approx(2.5 / 3))
    low, high = possible(outcomes, {"b": 1, "d": 2})
    assert low == pytest.approx((0.5 + 0.5 + 1 + 0) / 4)
    assert high == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    assert possible({}, {}) is None
