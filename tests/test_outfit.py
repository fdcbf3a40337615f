"""A step in which nothing was granted: whether that ends the run, is an error, or says nothing."""

from pathlib import Path

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig
from trace_gym.core.scheduler import Candidate
from trace_gym.core.tree import Forest
from trace_gym.outfit import Limits, left_over
from trace_gym.store import Store
from trace_gym.testing import grow_forest, record_forest, toy_task


def limits(trajectories: int | None) -> Limits:
    return Limits(trajectories=trajectories, tokens=None, seconds=None, usd=None)


def opened(folder: Path, *, candidates: int) -> Store:
    """A run whose step 0 was opened with so many candidates, and nothing granted."""
    store, task = Store.create(folder, kind="train", config={}), toy_task()
    pool = [Candidate(i, task.key, task.suite, task.family, 20) for i in range(candidates)]
    store.open_step(0, pool, [task] * candidates)
    store.proposed(0, [])
    return store


@pytest.mark.parametrize("own", [12, None])
def test_a_rest_that_pays_for_nothing_is_left_over_and_the_step_taken_back(
    own: int | None, tmp_path: Path
) -> None:
    with opened(tmp_path / "run", candidates=3) as store:
        assert left_over(store, Forest(0, []), limits(own), Budget(trajectories=2))
        assert store.steps() == []


@pytest.mark.parametrize(
    ("run", "rest"), [(Budget(trajectories=26), "26 trajectories left"), (Budget(), "no limit")]
)
def test_a_step_that_may_not_spend_enough_is_a_wrong_configuration(
    run: Budget, rest: str, tmp_path: Path
) -> None:
    says = f"budget.step_trajectories = 2 pays for no rollout of this scheduler, though the run has {rest}"
    with opened(tmp_path / "run", candidates=3) as store, pytest.raises(BadConfig, match=says):
        left_over(store, Forest(0, []), limits(2), run)


def test_nothing_is_left_over_where_something_was_granted_or_the_budget_is_not_the_reason(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "no candidates", candidates=0) as store:
        assert not left_over(store, Forest(0, []), limits(12), Budget(trajectories=2))
        assert len(store.steps()) == 1
    with opened(tmp_path / "no limit", candidates=3) as store:
        assert not left_over(store, Forest(0, []), limits(None), Budget(tokens=5))
        assert len(store.steps()) == 1
    failed = grow_forest(["0 1 !"])
    with Store.create(tmp_path / "played", kind="train", config={}) as store:
        record_forest(store, failed)
        assert not left_over(store, failed, limits(12), Budget(trajectories=2))
        assert len(store.steps()) == 1
