"""The purse: limits are hard where they must be, and every reservation is charged or refunded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_gym.core.budget import Budget, Cost, Pace


def test_reservations_are_granted_up_to_what_is_left_here_and_above():
    run = Budget(trajectories=10, tokens=100)
    step = Budget(trajectories=6, parent=run)
    assert step.reserve("trajectories", 4) == 4
    assert run.left("trajectories") == 6
    assert step.reserve("trajectories", 4) == 2
    assert step.reserve("tokens", 500) == 100
    assert step.reserve("tokens", 1) == 0
    step.refund("tokens", 60)
    step.charge(Cost(decoded=25), reserved_tokens=40)
    assert run.spent.decoded == step.spent.decoded == 25
    assert run.left("tokens") == 75


def test_soft_limits_close_the_purse_and_show_the_overshoot():
    budget = Budget(seconds=2.0, usd=1.0)
    assert budget.open
    budget.charge(Cost(model_seconds=1.5, env_seconds=1.0))
    assert not budget.open
    assert budget.left("seconds") == -0.5
    assert budget.left("tokens") == float("inf")


def test_a_refund_of_what_was_not_reserved_is_refused():
    budget = Budget(tokens=5)
    budget.reserve("tokens", 2)
    with pytest.raises(ValueError, match="only 2 are reserved"):
        budget.refund("tokens", 3)


def test_negative_limits_are_refused():
    with pytest.raises(ValueError, match="tokens must not be negative"):
        Budget(tokens=-1)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40), st.integers(0, 200))
def test_sampled_tokens_never_exceed_the_limit(asks, limit):
    budget = Budget(tokens=limit)
    for wanted, used in asks:
        granted = budget.reserve("tokens", wanted)
        budget.charge(Cost(decoded=min(used, granted)), reserved_tokens=granted)
        assert budget.spent.decoded <= limit
        assert budget.left("tokens") == limit - budget.spent.decoded


def test_a_pace_replaces_the_clock():
    """Two steps of 3 s, five sampled tokens of .5 s, four added context tokens of .25 s; the rest stays."""
    played = Cost(fresh=9, cached=7, decoded=5, steps=2, model_seconds=100.0, env_seconds=100.0, usd=0.5)
    paced = Pace(step_s=3.0, token_s=0.5, context_s=0.25).timed(played, context=4)
    assert paced == Cost(fresh=9, cached=7, decoded=5, steps=2, model_seconds=3.5, env_seconds=6.0, usd=0.5)
    with pytest.raises(ValueError, match="token_s must not be negative, got -1"):
        Pace(token_s=-1.0)
