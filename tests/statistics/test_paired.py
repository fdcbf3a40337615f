"""Paired differences against scipy and statsmodels on recorded outcomes, against simulation, and by hand."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.statistics.recorded import attempts
from trace_gym.statistics import difficulty, holm, paired
from trace_gym.statistics.paired import sign_flip


def halves(name: str) -> tuple[dict[str, float], dict[str, str]]:
    """Second half of the recorded attempts minus the first: two runs of the same agent."""
    outcomes, families = attempts(name)
    return {
        t: float(np.mean(r[len(r) // 2 :]) - np.mean(r[: len(r) // 2])) for t, r in outcomes.items()
    }, families


def test_the_interval_is_that_of_the_paired_t_test_where_tasks_are_the_clusters():
    differences, _ = halves("wikihop_compact_plain")
    found = paired(differences, {task: task for task in differences})
    theirs = stats.ttest_1samp(list(differences.values()), 0.0)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))
    assert found.mean == pytest.approx(np.mean(list(differences.values())))


def test_the_p_value_is_that_of_scipys_permutation_test():
    differences, _ = halves("wikihop_compact")
    values = np.array(list(differences.values()))
    for some, draws in ((values[np.flatnonzero(values)][:10], 20_000), (values, 20_000)):
        theirs = stats.permutation_test(
            (some,),
            lambda x, axis=-1: np.mean(x, axis=axis),
            permutation_type="samples",
            n_resamples=draws,
            vectorized=True,
            rng=np.random.default_rng(1),
        )
        assert sign_flip(some, draws=draws, seed=0) == pytest.approx(theirs.pvalue, abs=0.015)
    exact = values[np.flatnonzero(values)][:10]
    again = stats.permutation_test(
        (exact,), lambda x, axis=-1: np.mean(x, axis=axis), permutation_type="samples", vectorized=True
    )
    assert sign_flip(exact, draws=1, seed=0) == pytest.approx(again.pvalue)


def test_thousands_of_clusters_take_no_more_room_than_hundreds():
    """HotpotQA's development file has 7,405 questions; all of their signs at once would be gigabytes."""
    sums = np.random.default_rng(2).normal(0.02, 1.0, size=5000)
    tracemalloc.start()
    found = sign_flip(sums, draws=20_000, seed=0)
    room = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert room < 200 * 2**20
    theirs = 2 * stats.norm.sf(abs(sums.sum()) / np.sqrt((sums**2).sum()))
    assert found == pytest.approx(theirs, abs=0.02)


def test_holm_is_that_of_statsmodels():
    for p_values in ([0.01, 0.04, 0.03, 0.005], [0.5], [0.2, 0.2, 0.9], [0.001, 0.6, 0.03, 0.03, 0.049]):
        assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    assert holm([]) == []


def test_families_are_what_is_flipped():
    differences = {f"{f}/{i}": 0.1 if f % 3 else -0.05 for f in range(12) for i in range(5)}
    found = paired(differences, {task: task.split("/")[0] for task in differences})
    assert (found.unit, found.clusters, found.tasks) == ("family", 12, 60)
    sums = np.array([0.5 if f % 3 else -0.25 for f in range(12)])
    patterns = 2 * ((np.arange(4096)[:, None] >> np.arange(12)) & 1) - 1
    assert found.p_value == pytest.approx(np.mean(np.abs(patterns @ sums) >= sums.sum() - 1e-9))


def test_coverage_where_a_few_families_hold_most_of_the_tasks():
    rng, hits, trials = np.random.default_rng(7), 0, 300
    sizes = [60, 30, 10, 10, 5, 5, 5, 2, 2, 1, 1, 1]
    families = {f"{f}/{i}": str(f) for f, size in enumerate(sizes) for i in range(size)}
    for _ in range(trials):
        level = np.clip(rng.normal(0.1, 0.2, size=len(sizes)), -1.0, 1.0)
        differences = {
            t: float(np.clip(level[int(f)] + rng.normal(0.0, 0.1), -1.0, 1.0)) for t, f in families.items()
        }
        found = paired(differences, families, draws=10)
        hits += found.low <= 0.1 <= found.high
    assert stats.binomtest(hits, trials, 0.95, alternative="less").pvalue > 0.001


def test_under_no_difference_five_per_cent_are_called_one():
    rng = np.random.default_rng(5)
    calls = 0
    for _ in range(300):
        level = rng.random(40)
        a, b = (rng.binomial(2, level) / 2 for _ in "ab")
        differences = {str(i): float(x) for i, x in enumerate(b - a)}
        calls += paired(differences, {t: t for t in differences}, draws=2000).p_value <= 0.05
    assert stats.binomtest(calls, 300, 0.05, alternative="greater").pvalue > 0.001


def test_as_many_tasks_as_are_said_to_be_needed_show_the_difference():
    """The plan's promise: power 0.8."""
    rng = np.random.default_rng(6)

    def drawn(n: int) -> dict[str, float]:
        level = rng.beta(2, 2, size=n)
        better = np.minimum(level + 0.08, 1.0)
        return {str(i): float(x) for i, x in enumerate(rng.binomial(1, better) - rng.binomial(1, level))}

    large = drawn(40_000)
    found = paired(large, {t: t for t in large}, draws=10)
    assert found.needed == 0
    error = (found.high - found.low) / 2 / 1.96 * np.sqrt(40_000)
    enough = int((2.802 * error / found.mean) ** 2)
    shown = 0
    for _ in range(200):
        few = drawn(enough)
        shown += paired(few, {t: t for t in few}, draws=1000).p_value <= 0.05
    assert 0.7 < shown / 200 < 0.9
    small = drawn(60)
    plan = paired(small, {t: t for t in small}, draws=10)
    assert plan.needed == max(0, int(np.ceil(60 * (plan.smallest / plan.mean) ** 2)) - 60)


def test_where_nothing_differs_nothing_is_promised():
    found = paired({"a": 0.0, "b": 0.0, "c": 0.0}, dict.fromkeys("abc", "f"))
    assert (found.mean, found.p_value, found.needed) == (0.0, 1.0, None)
    none_of_three = stats.t.ppf(0.975, 2) ** 2 / (3 + stats.t.ppf(0.975, 2) ** 2)
    assert (-found.low, found.high) == pytest.approx((none_of_three, none_of_three)), "three tasks are few"
    better = paired(dict.fromkeys("abc", 1.0), dict.fromkeys("abc", "f"))
    assert (better.low, better.high) == pytest.approx((1 - 2 * none_of_three, 1.0))
    alone = paired({"a": 0.5}, {"a": "f"})
    assert (alone.mean, alone.low, alone.p_value, alone.needed) == (0.5, None, None, None)
    with pytest.raises(ValueError, match="at least one shared task"):
        paired({}, {})


def test_what_cancels_but_for_rounding_is_no_difference():
    """Tenths: .1 and .2 are not quite .3."""
    tenths = {str(i): share for i, share in enumerate([0.1, 0.2, -0.3] * 3)}
    assert np.mean(list(tenths.values())) != 0.0, "or it would show nothing"
    found = paired(tenths, {t: t for t in tenths})
    assert (found.mean, found.p_value, found.needed) == (0.0, 1.0, None)


@pytest.mark.parametrize(("differ", "alike", "more"), [(3, 0, 3), (3, 1, 4), (5, 45, 23), (5, 5, 2)])
def test_fewer_than_six_clusters_that_differ_are_not_said_to_be_enough(differ: int, alike: int, more: int):
    """Of d clusters that all differ one way the p-value is 2^(1-d): below 5 % from six on."""
    tasks = [str(i) for i in range(differ + alike)]
    found = paired({t: float(int(t) < differ) for t in tasks}, {t: t for t in tasks})
    assert (found.p_value, found.needed) == (2.0 ** (1 - differ), more)
    assert (found.smallest is None) is (len(tasks) < 6), "so few show no difference, however large"
    times = (len(tasks) + more) / len(tasks)
    enough = [str(i) for i in range(round(times * differ))]
    assert paired({t: 1.0 for t in enough}, {t: t for t in enough}).p_value <= 0.05


def test_classes_of_difficulty():
    shares = (0.0, 0.1, 1 / 3, 0.5, 2 / 3, 0.9, 1.0)
    expected = ["never solved", "hard", "hard", "middle", "middle", "easy", "always solved"]
    assert [difficulty(share) for share in shares] == expected


def test_a_family_whose_differences_cancel_but_for_rounding_does_not_differ():
    rest = [0.1, 0.2, -0.3]
    assert sum(rest) != 0.0
    won = {f"w{i}.{j}": 1.0 for i in range(5) for j in range(20)}
    told = won | {f"n{i}": 0.0 for i in range(4)} | {f"r{i}": each for i, each in enumerate(rest)}
    found = paired(told, {task: task.split(".")[0] if task[0] != "r" else "rest" for task in told})
    assert (found.unit, found.clusters, found.p_value) == ("family", 10, 2.0**-4), "five families differ"
    assert found.needed == 22, "a fifth more, so that six do"
