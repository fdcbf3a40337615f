"""GRPO's allocation: n roots a prompt, one proposal, nothing afterwards."""

import pytest

from trace_gym.core.budget import Budget
from trace_gym.schedule.uniform import Uniform


def test_as_many_whole_groups_as_the_budget_pays(world) -> None:
    """20 trajectories pay two prompts of 8; 4 stay unspent."""
    play = world(values=[0.5] * 5, turns=[2] * 5)
    forest, metrics = play.step(Uniform(8), Budget(trajectories=20))
    assert [len(tree.rollouts) for tree in forest.trees] == [8, 8]
    assert metrics["roots"] == 16
    assert metrics["unspent"] == 4
    assert metrics["prompts_filtered"] == 3
    assert metrics["forks"] == 0
    assert {grant.propensity for grant in play.grants.values()} == {2 / 5}


def test_grants_come_in_pool_order_and_end_there(world) -> None:
    play = world(values=[0.5] * 6, turns=[1] * 6)
    play.step(Uniform(3, prompts=4), Budget())
    places = [grant.anchor.tree for grant in play.grants.values()]
    assert places == sorted(places)
    assert len(places) == 4
    assert all(grant.count == 3 and grant.anchor.node == 0 for grant in play.grants.values())
    assert not any(answer for _, answer in play.events)


def test_every_prompt_is_as_likely(world) -> None:
    play = world(values=[0.5] * 5, turns=[1] * 5)
    scheduler = Uniform(2, prompts=2, seed=3)
    times = [0] * 5
    for _ in range(400):
        play.step(scheduler, Budget(trajectories=4))
        for grant in play.grants.values():
            times[grant.anchor.tree] += 1
    assert sum(times) == 800
    assert min(times) > 120
    assert max(times) < 200


def test_a_budget_below_one_group_grants_nothing(world) -> None:
    play = world(values=[0.5] * 2, turns=[1] * 2)
    forest, metrics = play.step(Uniform(8), Budget(trajectories=7))
    assert forest.trees == []
    assert metrics["unspent"] == 7


def test_what_it_wants_to_know() -> None:
    scheduler = Uniform(8, prompts=16)
    assert scheduler.pool_size == 16
    assert not scheduler.forks
    assert not scheduler.hears_turns
    assert Uniform(8).pool_size is None


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="n must be at least 1"):
        Uniform(0)
    with pytest.raises(ValueError, match="prompts must be at least 1"):
        Uniform(8, prompts=0)
    with pytest.raises(ValueError, match="seed must not be negative"):
        Uniform(8, seed=-1)
