"""Prediction quality: two steps worked out by hand, and the measures one by one."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_gym.core.budget import Budget
from trace_gym.core.episode import StopReason
from trace_gym.core.predictor import Prediction
from trace_gym.core.targets import played_out
from trace_gym.core.tree import Forest
from trace_gym.schedule.quality import (
    PredictionQuality,
    Sample,
    auc,
    bare_samples,
    brier,
    calibration_error,
)
from trace_gym.schedule.trace import Trace
from trace_gym.testing import grow_tree

FIRST = [
    Sample("a", 0, 0.8, 1.0),
    Sample("a", 0, 0.6, 0.0),
    Sample("b", 0, 0.3, 0.0),
    Sample("a", 1, 0.9, 1.0),
    Sample("a", 1, 0.9, 0.0),
]
SECOND = [Sample("a", 0, 0.5, 1.0), Sample("c", 0, 0.5, 0.0)]


def test_two_steps_by_hand() -> None:
    """First step: nothing known, so both baselines say 1/2. Roots: (.2^2 + .6^2 + .3^2) / 3; calibration
    (.2 + .6 + .3) / 3, one sample a bin. Prefixes: (.1^2 + .9^2) / 2, all in one bin: |.9 - .5|.

    Second: roots so far won 1 of 3, so the constant says 1/3; task a won 1 of 2 and says (1 + 2/3) / (2 + 2)
    = 5/12, the unseen c the constant.
    """
    quality = PredictionQuality(prior=2.0)
    assert quality.measure(FIRST) == {
        "brier_root": pytest.approx(0.49 / 3),
        "brier_root_constant": 0.25,
        "brier_root_counts": 0.25,
        "auc_root": 1.0,
        "ece_root": pytest.approx(1.1 / 3),
        "brier_prefix": pytest.approx(0.41),
        "brier_prefix_constant": 0.25,
        "brier_prefix_counts": 0.25,
        "auc_prefix": 0.5,
        "ece_prefix": pytest.approx(0.4),
        "auc_depth_0": 1.0,
        "auc_depth_1": 0.5,
        "brier_unseen": pytest.approx(0.49 / 3),
        "brier_unseen_constant": 0.25,
    }
    again = PredictionQuality(prior=2.0)
    again.load_state_dict(json.loads(json.dumps(quality.state_dict())))
    expected = {
        "brier_root": 0.25,
        "brier_root_constant": pytest.approx(5 / 18),
        "brier_root_counts": pytest.approx(65 / 288),
        "auc_root": 0.5,
        "ece_root": pytest.approx(0.0),
        "auc_depth_0": 0.5,
        "brier_unseen": 0.25,
        "brier_unseen_constant": pytest.approx(1 / 9),
    }
    assert quality.measure(SECOND) == expected
    assert again.measure(SECOND) == expected
    assert quality.measure([]) == {}


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.5, 0.9]), st.booleans()), max_size=12))
def test_auc_counts_pairs(samples: list[tuple[float, bool]]) -> None:
    won = [p for p, r in samples if r]
    lost = [p for p, r in samples if not r]
    pairs = [(high > low) + (high == low) / 2 for high in won for low in lost]
    expected = pytest.approx(np.mean(pairs)) if pairs else None
    assert auc([p for p, _ in samples], [float(r) for _, r in samples]) == expected


def test_calibration_by_hand() -> None:
    """Bins of a quarter: .1 and .2 (mean .15, won half) and 1.0 (the last bin, won)."""
    assert calibration_error([0.1, 0.2, 1.0], [0, 1, 1], bins=4) == pytest.approx(2 / 3 * 0.35)
    assert brier([0.1, 0.2, 1.0], [0, 1, 1]) == pytest.approx((0.01 + 0.64) / 3)


class Depth:
    """Predicts the depth over ten."""

    def predict(self, prefixes):
        return [Prediction(0.1 * prefix.depth) for prefix in prefixes]


def test_samples_are_of_bare_rollouts_and_without_leaves(world) -> None:
    """Three roots of three turns: depths 0, 1, 2 each, however many continuations there are."""
    play = world(values=[0.5], turns=[3])
    forest, _ = play.step(Trace(3, 2), Budget(trajectories=9))
    samples = bare_samples(forest, Depth())
    assert sorted(sample.depth for sample in samples) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert all(sample.predicted == pytest.approx(0.1 * sample.depth) for sample in samples)
    assert {sample.task for sample in samples} == {"world/0"}
    tree = forest.trees[0]
    assert sum(sample.outcome for sample in samples) == 3 * sum(bool(tree.outcome(n)) for n in range(3))


def test_what_was_cut_is_not_measured() -> None:
    """Root 0; 1, 2 won; 3, 4, 5 cut at a worth of .08; 6, 7 lost: two rollouts with outcomes, each seen at
    the root and after a turn."""
    tree = grow_tree("0 1 1 +", "0 1 1 1 .", "0 1 1 -")
    tree.stop(1, StopReason.CUT, worth=0.08)
    assert played_out(tree) == [(0, 1.0), (1, 1.0), (0, 0.0), (6, 0.0)]
    samples = bare_samples(Forest(0, [tree]), Depth())
    assert [(sample.depth, sample.outcome) for sample in samples] == [(0, 1.0), (1, 1.0), (0, 0.0), (1, 0.0)]


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="prior must be positive"):
        PredictionQuality(prior=0.0)
    with pytest.raises(ValueError, match="bins must be at least 1"):
        PredictionQuality(bins=0)
