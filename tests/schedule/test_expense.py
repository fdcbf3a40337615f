"""Expected costs by hand: from what was played, and from what a prediction says."""

import json

import pytest

from trace_gym.core.budget import Cost
from trace_gym.core.predictor import Prediction
from trace_gym.schedule.expense import Expense, Expenses, Prices
from trace_gym.testing import grow_forest


def test_prices_of_real_and_expected_costs() -> None:
    prices = Prices(token=2.0, fresh=0.5, cached=0.25, step=3.0, second=10.0)
    assert prices.of(Cost(fresh=4, cached=8, decoded=5, steps=2, env_seconds=0.5)) == 10 + 2 + 2 + 6 + 5
    assert prices.expected(Expense(turns=2, tokens=5, fresh=4, cached=8, seconds=0.5)) == 25
    assert Prices().of(Cost(decoded=7, fresh=100, steps=9)) == 7


def test_averages_by_hand() -> None:
    """Two bare rollouts of 2 and 4 turns and a continuation of one: 7 turns with 3+3+1+1+1+1+4 = 14 tokens, 2
    of context and 1/8 s each. An episode lasts 3 turns."""
    expenses = Expenses()
    expenses.learn(grow_forest(["0 3 3 +", "0 1 1 1 1 -", "1 4 -"]))
    fresh = expenses.expect("toy", 20)
    assert (fresh.turns, fresh.tokens, fresh.fresh, fresh.seconds) == pytest.approx((3, 6, 6, 0.375))
    later = expenses.expect("toy", 20, depth=2)
    assert (later.turns, later.tokens) == pytest.approx((1, 2))
    assert expenses.expect("toy", 20, depth=9).turns == 1
    assert expenses.expect("other", 20) == fresh


def test_a_prediction_comes_first() -> None:
    expenses = Expenses()
    expenses.learn(grow_forest(["0 3 3 +"]))
    told = expenses.expect("toy", 20, prediction=Prediction(0.5, tokens=40.0, turns=5.0))
    assert (told.turns, told.tokens, told.seconds) == pytest.approx((5, 40, 5 / 8))


def test_before_the_first_step() -> None:
    assert Expenses().expect("toy", 12) == Expense(6.0, 6.0, 0.0, 0.0, 0.0)
    assert Expenses().expect("toy", 12, depth=11).turns == 1


def test_old_steps_fade_and_state_travels() -> None:
    """Half of 2 turns of 3 tokens and one of 9: (3 + 9) / (1 + 1)."""
    expenses, other = Expenses(decay=0.5), Expenses()
    expenses.learn(grow_forest(["0 3 3 +"]))
    expenses.learn(grow_forest(["0 9 +"]))
    assert expenses.expect("toy", 20).tokens == pytest.approx(6 * (1 / 2 * 2 + 1) / 1.5)
    other.load_state_dict(json.loads(json.dumps(expenses.state_dict())))
    assert other.expect("toy", 20) == expenses.expect("toy", 20)


def test_bad_prices_are_refused() -> None:
    with pytest.raises(ValueError, match="the price of a token must not be negative"):
        Prices(token=-1.0)
    with pytest.raises(ValueError, match="something must have a price"):
        Prices(token=0.0)
    with pytest.raises(ValueError, match="decay must lie in"):
        Expenses(decay=2.0)
