"""Continuations one at a time, by hand: who is next after a flip, and after resisting."""

import numpy as np
import pytest

from trace_gym.core.predictor import Prediction
from trace_gym.schedule.plus_forks import PlusForks
from trace_gym.schedule.rule import Played, Trajectory
from trace_gym.testing import grow_tree


def trajectory(rollout: int, success: bool, first: int, *values: float, anchor: int = 0) -> Trajectory:
    told = {first + turn: Prediction(v, 4.0) for turn, v in enumerate(values)}
    return Trajectory(rollout, success, tuple(told), told, anchor)


def scene(*continuations: Trajectory) -> Played:
    """A failure with V~ .6, .3 at nodes 1 and 2, and a success with .8 at node 4; each worth 4
    observations."""
    tree = grow_tree("0 1 1 1 -", "0 1 1 +", "1 1 1 +")
    roots = (trajectory(0, False, 1, 0.6, 0.3), trajectory(1, True, 4, 0.8))
    return Played(tree, roots, continuations)


def granted(rule: PlusForks, played: Played, count: int, *, again: bool = False) -> dict[int, int]:
    choose = rule.again if again else rule.choose
    choices = choose(played, count, step=0, rng=np.random.default_rng(0))
    return {choice.place: choice.count for choice in choices}


def test_at_once_the_posterior_spreads() -> None:
    """Flips .6, .3, .2. For certain .6 .24 | .3 .21 | .2 .16: two continuations of three go 2, 1 only once .3
    is taken. Worth 4 observations a second at .6 is .6 * .4 * 4/5 = .192, at .3 it is .3 * .7 * .8 = .168:
    four go 1, 1, 1 and then .192."""
    sure = PlusForks(posterior=False, stop_at_flip=False, patience=0)
    unsure = PlusForks(posterior=True, stop_at_flip=False, patience=0)
    assert granted(sure, scene(), 3) == {1: 2, 2: 1}
    assert granted(unsure, scene(), 3) == {1: 1, 2: 1, 4: 1}
    assert granted(unsure, scene(), 4) == {1: 2, 2: 1, 4: 1}
    assert granted(unsure, scene(), 4, again=True) == {}


def test_a_round_grants_one_each() -> None:
    assert granted(PlusForks(), scene(), 4) == {1: 1, 2: 1, 4: 1}
    assert granted(PlusForks(), scene(), 1) == {1: 1}


def test_a_flipped_prefix_is_done() -> None:
    """A success from node 1 flips the failure there. Its own prefix at node 6 (V~ .5) now counts too."""
    flipped = trajectory(2, True, 6, 0.5, anchor=1)
    assert granted(PlusForks(), scene(flipped), 1, again=True) == {6: 1}
    assert granted(PlusForks(), scene(flipped), 9, again=True) == {6: 1, 2: 1, 4: 1}
    keeps = PlusForks(stop_at_flip=False, patience=3)
    assert 1 in granted(keeps, scene(flipped), 9, again=True)


def test_a_resisting_prefix_is_given_up() -> None:
    """One failure more at node 1 lowers its flip to .6 * 4/5 = .48, still the best; after two it is given
    up, or with patience 0 stands at .4."""
    one = Trajectory(2, False, (), {}, 1)
    two = Trajectory(3, False, (), {}, 1)
    assert granted(PlusForks(), scene(one), 1, again=True) == {1: 1}
    assert granted(PlusForks(), scene(one, two), 1, again=True) == {2: 1}
    assert granted(PlusForks(patience=0), scene(one, two), 1, again=True) == {1: 1}
    [choice] = PlusForks(patience=0).again(scene(one, two), 1, step=0, rng=np.random.default_rng(0))
    assert choice.reason == "turn 1 of a failure: the next one flips it with p=0.40"


def test_nothing_is_left_when_all_are_done() -> None:
    played = Played(
        grow_tree("0 1 1 -", "1 1 +"), (trajectory(0, False, 1, 0.6),), (Trajectory(1, True, (), {}, 1),)
    )
    assert granted(PlusForks(), played, 3, again=True) == {}


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="continuations must be at least 1"):
        PlusForks(0)
    with pytest.raises(ValueError, match="patience must not be negative"):
        PlusForks(patience=-1)
