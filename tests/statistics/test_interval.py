"""Intervals against scipy, statsmodels, inspect-ai, the bootstrap and simulation."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from tests.statistics.recorded import attempts, recorded
from trace_gym.statistics import (
    Interval,
    mean_interval,
    ratio_interval,
    success_interval,
    weighted_interval,
    weighted_success,
    wilson,
)

NAMES = ("wikihop_compact", "wikihop_compact_plain", "wikihop_compact_plain_cool", "guess")
INSPECT = {
    "wikihop_compact": 0.018867012881857454,
    "wikihop_compact_plain": 0.028043116154171665,
    "wikihop_compact_plain_cool": 0.03467021155146834,
    "guess": 0.00814803455881952,
}


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


@pytest.mark.parametrize(
    "sizes", [[60, 30, 10, 10, 5, 5, 5, 2, 2, 1, 1, 1], [60, *[1] * 11], [40, *[3] * 20]]
)
def test_coverage_where_a_few_families_hold_most_of_the_tasks(sizes: list[int]):
    """The error is learnt from those few, so they are what Student's quantile must go by."""
    rng, hits, trials = np.random.default_rng(6), 0, 300
    families = {f"{f}/{i}": str(f) for f, size in enumerate(sizes) for i in range(size)}
    for _ in range(trials):
        level = rng.beta(2, 3, size=len(sizes))
        attempts = {task: [bool(rng.random() < level[int(f)])] for task, f in families.items()}
        found = success_interval(attempts, families)
        hits += found.low <= 0.4 <= found.high
    assert stats.binomtest(hits, trials, 0.95, alternative="less").pvalue > 0.001
    costs = {task: (1.0 + (i % 3), 1.0) for i, task in enumerate(families)}
    bounded = ratio_interval(costs, families)
    assert 0.0 <= found.low <= found.high <= 1.0
    assert (bounded.low is None) is (len(families) ** 2 < 2 * sum(size**2 for size in sizes))


def test_all_successes_still_have_a_width():
    attempts = {f"t{i}": [True] for i in range(40)}
    found = success_interval(attempts, {task: task for task in attempts})
    assert found.mean == 1.0
    assert 0.85 < found.low < 1.0
    assert found.high == 1.0


def test_where_all_tasks_are_alike_families_are_still_the_sample():
    """Twelve families that share their fate: 240 failures say no more than twelve."""
    tasks = [f"{family}/{i}" for family in range(12) for i in range(20)]
    families = {task: task.split("/")[0] for task in tasks}
    for outcome in (False, True):
        found = success_interval({task: [outcome] for task in tasks}, families)
        bounds = wilson(float(outcome), 12, float(stats.t.ppf(0.975, 11)))
        assert (found.low, found.high) == pytest.approx(bounds)
    rng, hits = np.random.default_rng(2), 0
    for _ in range(200):
        lucky = rng.random(12) < 0.05
        found = success_interval({task: [bool(lucky[int(families[task])])] for task in tasks}, families)
        hits += found.low <= 0.05 <= found.high
    assert stats.binomtest(hits, 200, 0.95, alternative="less").pvalue > 0.001


def test_nothing_measured_is_none_not_zero():
    found = success_interval({"t": []}, {"t": "f"})
    assert (found.mean, found.low, found.high) == (None, None, None)


def test_the_clustered_error_is_that_of_statsmodels_on_recorded_outcomes():
    for name in NAMES:
        outcomes, families = attempts(name)
        found = success_interval(outcomes, families)
        means = np.array([np.mean(results) for results in outcomes.values()])
        groups = np.unique(list(families.values()), return_inverse=True)[1]
        if found.unit == "task":
            groups = np.arange(len(means))
        fit = sm.OLS(means, np.ones((len(means), 1))).fit(cov_type="cluster", cov_kwds={"groups": groups})
        assert (found.mean, found.error) == pytest.approx((fit.params[0], fit.bse[0]), rel=1e-9)


def test_the_error_is_that_of_inspect_ai_on_recorded_outcomes():
    """Values that `stderr(cluster="family")` of inspect-ai 0.3.285 gives for the mean outcome per task."""
    for name, value in INSPECT.items():
        outcomes, families = attempts(name)
        assert success_interval(outcomes, families).error == pytest.approx(value, rel=1e-9)


def test_cost_per_success_agrees_with_the_bootstrap_on_recorded_outcomes():
    for name in NAMES[:2]:
        rows = recorded(name)
        parts = {row.task: (float(sum(row.tokens)), float(sum(row.outcomes))) for row in rows}
        found = ratio_interval(parts, {task: task for task in parts})
        pairs = np.array(list(parts.values()))
        again = stats.bootstrap(
            (pairs[:, 0], pairs[:, 1]),
            lambda a, b, axis=-1: a.sum(axis=axis) / b.sum(axis=axis),
            paired=True,
            vectorized=True,
            n_resamples=4000,
            rng=np.random.default_rng(0),
            method="percentile",
        )
        assert found.mean == pytest.approx(pairs[:, 0].sum() / pairs[:, 1].sum())
        assert found.error == pytest.approx(again.standard_error, rel=0.08)
        assert found.low == pytest.approx(again.confidence_interval.low, rel=0.04)
        assert found.high == pytest.approx(again.confidence_interval.high, rel=0.04)


def test_without_a_success_there_is_no_cost_per_success():
    assert ratio_interval({"a": (5.0, 0.0)}, {"a": "a"}).mean is None
    free = ratio_interval({"a": (0.0, 1.0), "b": (0.0, 2.0)}, {"a": "a", "b": "b"})
    assert (free.mean, free.low) == (0.0, None)
    same = ratio_interval({str(i): (2.0, 1.0) for i in range(5)}, {str(i): str(i) for i in range(5)})
    assert (same.mean, same.low, same.high) == (2.0, None, None), "five equal costs bound nothing"


def test_a_weighted_mean_adds_independent_errors():
    parts = [
        (2.0, Interval(0.6, 0.5, 0.7, 30, "task", 0.05)),
        (1.0, Interval(0.3, 0.1, 0.5, 20, "task", 0.1)),
    ]
    found = weighted_interval(parts)
    assert found.mean == pytest.approx((2 * 0.6 + 0.3) / 3)
    assert found.error == pytest.approx(np.hypot(2 * 0.05, 0.1) / 3)
    assert found.low < found.mean < found.high
    assert weighted_interval([(1.0, Interval(None, None, None, 0, "task"))]).mean is None


def test_bounds_of_a_weighted_mean_by_hand():
    """Thirds: the parts reach .1 and .2 down, .1 and .2 up, weighted 2 to 1: sqrt(.2^2 + .2^2) / 3."""
    parts = [
        (2.0, Interval(0.6, 0.5, 0.7, 30, "task", 0.05)),
        (1.0, Interval(0.3, 0.1, 0.5, 20, "task", 0.1)),
    ]
    found = weighted_interval(parts)
    reach = np.sqrt(0.08) / 3
    assert (found.low, found.high) == pytest.approx((0.5 - reach, 0.5 + reach))
    one = Interval(1.0, 0.7, 1.0, 9, "task", 0.0)
    alone = weighted_interval([(3.0, one)])
    assert (alone.mean, alone.low, alone.high, alone.error) == pytest.approx((1.0, 0.7, 1.0, 0.0))


def test_a_part_that_is_all_alike_is_not_taken_for_certain():
    """Fourteen of fourteen beside 100 of 200: the small part's bounds alone reach half their way down."""
    small = success_interval({f"t{i}": [True] for i in range(14)}, {f"t{i}": f"t{i}" for i in range(14)})
    large = success_interval({f"t{i}": [i < 100] for i in range(200)}, {f"t{i}": f"t{i}" for i in range(200)})
    found = weighted_interval([(1.0, small), (1.0, large)])
    assert found.mean == pytest.approx(0.75)
    assert 0.75 - found.low > (1.0 - small.low) / 2
    assert found.high - 0.75 < (large.high - 0.5) / 2 + 1e-12


def test_coverage_of_a_weighted_mean_with_a_small_part():
    rng, spec = np.random.default_rng(3), [(14, 9, 1), (200, 5, 5)]
    truth, hits, trials = np.mean([a / (a + b) for _, a, b in spec]), 0, 300
    for _ in range(trials):
        parts = []
        for tasks, a, b in spec:
            won = {str(i): [bool(rng.random() < rng.beta(a, b))] for i in range(tasks)}
            parts.append((1.0, success_interval(won, {task: task for task in won})))
        found = weighted_interval(parts)
        hits += found.low <= truth <= found.high
    assert stats.binomtest(hits, trials, 0.95, alternative="less").pvalue > 0.001


def variants(outcomes: dict[str, list[bool]], names: str) -> list[tuple[float, dict[str, list[bool]]]]:
    """Parts of equal weight in which every family has one task, which comes out alike in all of them."""
    return [(1.0, {f"{name}/{family}": won for family, won in outcomes.items()}) for name in names]


def test_parts_of_the_same_families_say_no_more_than_one_of_them():
    """BFCL's subsets are variants of the same dialogues. Twelve that fare alike in four parts are twelve."""
    for wins in (0, 4, 12):
        parts = variants({str(i): [i < wins] for i in range(12)}, "abcd")
        families = {task: task[2:] for _, attempts in parts for task in attempts}
        found, alone = weighted_success(parts, families), success_interval(parts[0][1], families)
        assert (found.mean, found.low, found.high) == pytest.approx((alone.mean, alone.low, alone.high))
        assert (found.error, found.clusters) == (pytest.approx(alone.error), 12)
        own = weighted_success(parts, {task: task for task in families})
        assert own.high - own.low == pytest.approx((alone.high - alone.low) / 2), "48 would say more"
        assert own.clusters == 48


def test_parts_below_ten_families_are_clustered_by_task_and_independent():
    parts = variants({str(i): [i < 4] for i in range(8)}, "ab")
    families = {task: "one" for _, attempts in parts for task in attempts}
    found = weighted_success(parts, families)
    again = weighted_interval([(1.0, success_interval(attempts, families)) for _, attempts in parts])
    assert found == again
    assert weighted_success([(1.0, {}), *parts], families).mean is None


def test_coverage_of_a_weighted_mean_of_variants():
    rng, hits, trials = np.random.default_rng(4), 0, 300
    for _ in range(trials):
        level = rng.beta(0.4, 0.6, size=40)
        parts = [(1.0, {f"{k}/{i}": list(rng.random(2) < level[i]) for i in range(40)}) for k in range(4)]
        families = {task: task.split("/")[1] for _, attempts in parts for task in attempts}
        found = weighted_success(parts, families)
        hits += found.low <= 0.4 <= found.high
    assert stats.binomtest(hits, trials, 0.95, alternative="less").pvalue > 0.001


def test_rounding_is_not_taken_for_noise():
    nearly = {str(i): 1 - 1e-16 * i for i in range(5)}
    found = mean_interval(nearly, {task: task for task in nearly})
    whole = success_interval({task: [True] for task in nearly}, {task: task for task in nearly})
    assert (found.low, found.high) == pytest.approx((whole.low, whole.high))
