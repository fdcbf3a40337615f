"""Comparing evaluations: paired task by task, corrected over suites, and honest where nothing can be told."""

from dataclasses import replace

import numpy as np
import pytest

from tests.statistics.recorded import recorded
from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Split, Task
from trace_gym.evaluate.compare import Evaluated, compare
from trace_gym.statistics import holm


def evaluated(name: str, outcomes: dict[str, list[bool]], suite: str = "x") -> Evaluated:
    """An evaluation of tasks that are families of their own."""
    tasks = {f"{suite}/{key}": Task(key, suite, Split.TEST, key) for key in outcomes}
    return Evaluated(name, tasks, {f"{suite}/{key}": results for key, results in outcomes.items()})


def joined(name: str, *parts: Evaluated) -> Evaluated:
    tasks = {key: task for part in parts for key, task in part.tasks.items()}
    return Evaluated(name, tasks, {key: found for part in parts for key, found in part.outcomes.items()})


def real(name: str, evaluation: str, tasks: int = 150) -> Evaluated:
    """A recorded evaluation."""
    rows = recorded(evaluation)[:tasks]
    made = {row.task: Task(row.task, "plain", Split.TEST, row.family) for row in rows}
    return Evaluated(name, made, {row.task: list(row.outcomes) for row in rows})


def test_a_real_difference_is_found_and_told_by_difficulty() -> None:
    """The same tiny policy at temperature 1 and 0.3, on the same tasks."""
    (found,) = compare([real("warm", "wikihop_compact_plain"), real("cool", "wikihop_compact_plain_cool")])
    assert (found.first, found.second, found.suite, found.verdict) == ("warm", "cool", "plain", "better")
    assert found.difference.low is not None
    assert 0.05 < found.difference.low < found.difference.mean < 0.15
    assert found.difference.unit == "family"
    assert found.means[1] - found.means[0] == pytest.approx(found.difference.mean)
    assert sum(each.tasks for each in found.by_difficulty.values()) == found.difference.tasks == 150
    assert found.by_difficulty["easy"].mean > 0.2 > -0.05 > found.by_difficulty["hard"].mean
    assert found.by_difficulty["never solved"].mean == 0.0
    changes = [abs(each.second - each.first) for each in found.disagree]
    assert changes == sorted(changes, reverse=True)
    assert len(changes) == 121


def test_the_same_agent_twice_is_not_distinguishable() -> None:
    whole = real("both", "wikihop_compact_plain")
    halves = [
        Evaluated(name, whole.tasks, {key: list(found)[part] for key, found in whole.outcomes.items()})
        for name, part in (("a", slice(0, 16, 2)), ("b", slice(1, 16, 2)))
    ]
    (found,) = compare(halves)
    assert found.verdict.startswith("not distinguishable, about ")
    assert found.verdict.endswith("more tasks needed")
    assert found.difference.needed is not None
    assert found.difference.needed > 100


def test_difficulty_is_not_told_from_a_few_attempts() -> None:
    """Of one attempt each the middle class would be the tasks on which the two differ."""
    runs = [evaluated(name, {str(i): [i % n == 0] for i in range(40)}) for name, n in (("a", 2), ("b", 3))]
    (found,) = compare(runs)
    assert found.by_difficulty == {}
    (found,) = compare([evaluated(n, {str(i): [i % 2 == 0] * 4 for i in range(9)}) for n in "ab"])
    assert {name: each.tasks for name, each in found.by_difficulty.items()} == {
        "never solved": 4,
        "always solved": 5,
    }


def test_suites_are_told_apart_and_corrected_together() -> None:
    rng = np.random.default_rng(0)

    def drawn(p: float) -> dict[str, list[bool]]:
        return {str(i): [bool(rng.random() < p)] for i in range(60)}

    first = joined("a", evaluated("a", drawn(0.3), "x"), evaluated("a", drawn(0.5), "y"))
    second = joined("b", evaluated("b", drawn(0.9), "x"), evaluated("b", drawn(0.5), "y"))
    third = joined("c", evaluated("c", drawn(0.3), "x"), evaluated("c", drawn(0.5), "y"))
    found = compare([first, second, third])
    assert [(each.second, each.suite) for each in found] == [
        *(("b", ""), ("b", "x"), ("b", "y")),
        *(("c", ""), ("c", "x"), ("c", "y")),
    ]
    p_values = [each.difference.p_value for each in found]
    assert [each.corrected for each in found] == pytest.approx(holm([p for p in p_values if p is not None]))
    assert (found[1].verdict, found[0].verdict) == ("better", "better")
    assert compare([second, first])[1].verdict == "worse"
    assert found[5].verdict.startswith("not distinguishable")


def test_tasks_without_an_outcome_in_both_runs_are_counted_and_left_out() -> None:
    first = evaluated("a", {"1": [True], "2": [False], "3": [True]})
    second = evaluated("b", {"2": [True], "3": [True], "4": [False], "5": [False]})
    (found,) = compare([first, second])
    assert (found.difference.tasks, found.alone, found.means) == (2, (1, 2), (0.5, 1.0))
    assert [each.task for each in found.disagree] == ["x/2"]


def test_what_cannot_be_compared_is_refused() -> None:
    first = evaluated("a", {"1": [True], "2": [False]})
    with pytest.raises(BadConfig, match="at least two"):
        compare([first])
    with pytest.raises(BadConfig, match="no task with an outcome in common"):
        compare([first, evaluated("b", {"3": [True]})])
    other = replace(first.tasks["x/2"], payload={"goal": 3})
    with pytest.raises(BadConfig, match="x/2 is not the same task in a and in b"):
        compare([first, Evaluated("b", {**first.tasks, "x/2": other}, first.outcomes)])


def test_one_task_says_nothing() -> None:
    (found,) = compare([evaluated("a", {"1": [True]}), evaluated("b", {"1": [False]})])
    assert (found.corrected, found.verdict) == (None, "not distinguishable: too few tasks to say")
    (same,) = compare(
        [evaluated("a", {"1": [True], "2": [False]}), evaluated("b", {"1": [True], "2": [False]})]
    )
    assert same.verdict == "not distinguishable: no difference was seen"


def test_a_few_tasks_that_all_differ_are_no_proof_and_are_not_called_one() -> None:
    runs = [evaluated(name, {str(i): [won] for i in range(4)}) for name, won in (("a", False), ("b", True))]
    (found,) = compare(runs)
    assert (found.difference.p_value, found.verdict) == (
        0.125,
        "not distinguishable, about 2 more tasks needed",
    )
