"""What the next rollout is worth, by hand, against contrast, and in the limit of certainty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_gym.core.tree import Anchor
from trace_gym.schedule.contrast import prefix_marginal, root_contrast, root_marginal
from trace_gym.schedule.spot import Coin, Spot

V, SURE = st.floats(0.01, 0.99), st.sampled_from([None, 1.0, 2.0, 8.0, 500.0])


def spot(coin: Coin, success: bool | None = None, running: int = 0) -> Spot:
    return Spot(Anchor(0), coin, success, 1.0, running=running)


def test_by_hand() -> None:
    """Beta(1, 1). A pair: 1/3, so 1/6 each. After one success the next is a failure with 1/3; with one
    running before it 2/3 * 1/4 = 1/6. After two successes 1/4."""
    assert spot(Coin(0.5, 2.0)).worth() == pytest.approx(1 / 6)
    assert spot(Coin(0.5, 2.0, wins=1), True).worth() == pytest.approx(1 / 3)
    assert spot(Coin(0.5, 2.0, wins=1), True, running=1).worth() == pytest.approx(1 / 6)
    assert spot(Coin(0.5, 2.0, wins=2), True).worth() == pytest.approx(1 / 4)
    assert spot(Coin(0.3, None, wins=5), True, running=2).worth() == pytest.approx(0.7 * 0.3**2)


@given(V, SURE, st.integers(2, 6))
def test_roots_before_anything_is_known(v: float, sure: float | None, running: int) -> None:
    """The same marginals as stage 1 has."""
    assert spot(Coin(v, sure)).worth() == pytest.approx(float(root_contrast(v, 2, sure)) / 2)
    one_more = spot(Coin(v, sure), running=running).worth()
    assert one_more == pytest.approx(float(root_marginal(v, running + 1, sure)), abs=1e-12)
    assert spot(Coin(v, sure), running=1).worth() == pytest.approx(float(root_contrast(v, 2, sure)))


@given(V, SURE, st.integers(0, 4), st.booleans())
def test_prefixes_have_the_marginals_of_stage_two(
    v: float, sure: float | None, running: int, success: bool
) -> None:
    flip = 1 - v if success else v
    expected = float(prefix_marginal(flip, running + 1, sure))
    assert spot(Coin(v, sure), success, running).worth() == pytest.approx(expected, abs=1e-12)


def test_a_pair_is_needed_only_where_nothing_can_be_compared() -> None:
    assert spot(Coin(0.5, None)).needs == 2
    assert spot(Coin(0.5, None), running=1).needs == 1
    assert spot(Coin(0.5, None), success=False).needs == 1
