"""Intervals against scipy and against simulation; pass@k against enumeration."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from trace_gym.statistics import pass_at, success_interval, wilson


def test_wilson_agrees_with_scipy():
    for wins, n in [(0, 10), (3, 10), (50, 60), (7, 7)]:
        ours = wilson(wins / n, n, float(stats.norm.ppf(0.975)))
        theirs = stats.binomtest(wins, n).proportion_ci(method="wilson")
        assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_single_attempts_without_families_are_wilson_with_students_quantile():
    attempts = {f"t{i}": [i < 6] for i in range(20)}
    found = success_interval(attempts, dict.fromkeys(attempts, "only"))
    # One attempt a task: effective n = p(1-p) / (p(1-p) / n * n/(n-1)) = n - 1 = 19.
    low, high = wilson(0.3, 19, float(stats.t.ppf(0.975, 19)))
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, low, high))
    assert (found.unit, found.clusters) == ("task", 20)


def test_ten_families_are_the_clusters_and_widen_the_interval():
    rng = np.random.default_rng(0)
    level = rng.random(12)
    attempts = {f"{f}/{i}": [bool(rng.random() < level[f])] for f in range(12) for i in range(30)}
    clustered = success_interval(attempts, {task: task.split("/")[0] for task in attempts})
    by_task = success_interval(attempts, dict.fromkeys(attempts, "one"))
    assert (clustered.unit, clustered.clusters) == ("family", 12)
    assert by_task.unit == "task"
    assert clustered.mean == by_task.mean
    assert clustered.high - clustered.low > 2 * (by_task.high - by_task.low)


def test_coverage_of_clustered_intervals():
    rng = np.random.default_rng(1)
    truth, hits, trials = 0.4, 0, 300
    for _ in range(trials):
        level = rng.beta(2, 3, size=25)
        attempts = {f"{f}/{i}": list(rng.random(2) < level[f]) for f in range(25) for i in range(8)}
        found = success_interval(attempts, {task: task.split("/")[0] for task in attempts})
        hits += found.low <= truth <= found.high
    assert stats.binomtest(hits, trials, 0.95, alternative="less").pvalue > 0.001


def test_all_successes_still_have_a_width():
    attempts = {f"t{i}": [True] for i in range(40)}
    found = success_interval(attempts, {task: task for task in attempts})
    assert found.mean == 1.0
    assert 0.85 < found.low < 1.0
    assert found.high == 1.0


def test_nothing_measured_is_none_not_zero():
    found = success_interval({"t": []}, {"t": "f"})
    assert (found.mean, found.low, found.high) == (None, None, None)
    assert pass_at(2, [[True]]) is None


def test_pass_at_k_is_the_share_of_subsets_with_a_success():
    results = [True, False, False, True, False]
    for k in range(1, 6):
        subsets = list(combinations(results, k))
        expected = sum(any(subset) for subset in subsets) / len(subsets)
        assert pass_at(k, [results]) == pytest.approx(expected)
