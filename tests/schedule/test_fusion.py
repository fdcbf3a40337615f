"""The fused predictor: who is trusted, by hand and by search; what it says of its sureness; the log."""

import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_gym.core.episode import StopReason
from trace_gym.core.predictor import Prediction
from trace_gym.core.tree import Forest
from trace_gym.schedule.beta import BetaPredictor
from trace_gym.schedule.fusion import Fusion, Record, mixture
from trace_gym.testing import grow_forest, grow_tree

P = st.floats(0.05, 0.95)


class Says:
    """A predictor that says what it is told, and counts how often it learnt."""

    def __init__(self, mean: float, **rest: float) -> None:
        self.said = Prediction(mean, **rest)
        self.steps = 0

    def predict(self, prefixes):
        return [self.said for _ in prefixes]

    def learn(self, forest):
        self.steps += 1
        return {"steps": float(self.steps)}

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


WON, LOST = grow_forest(["0 1 1 +"], ["0 1 1 +"]), grow_forest(["0 1 1 -"], ["0 1 1 -"])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(P, P, st.booleans()), min_size=1, max_size=8))
def test_the_weight_is_the_best_mixture(rows: list[tuple[float, float, bool]]) -> None:
    """With a vanishing prior no other weight has less squared error."""
    record = Record()
    for p, q, y in rows:
        record.add(p, q, float(y))

    def error(w: float) -> float:
        return sum((y - w * p - (1 - w) * q) ** 2 for p, q, y in rows)

    best = min(error(w) for w in np.linspace(0, 1, 101))
    assert error(record.weight(1e-9)) <= best + 1e-6


def test_weights_by_hand() -> None:
    """p = .9, q = .5, twice won: spread 2 * .16, lean 2 * .5 * .4 = .4; with a prior of 1 at one half (.4 +
    .5) / 1.32. Lost twice: lean 2 * (-.5)(.4) = -.4, so (.5 - .4) / 1.32."""
    won, lost = Record(), Record()
    for _ in range(2):
        won.add(0.9, 0.5, 1.0)
        lost.add(0.9, 0.5, 0.0)
    assert Record().weight(1.0) == 0.5
    assert won.weight(1.0) == pytest.approx(0.9 / 1.32)
    assert lost.weight(1.0) == pytest.approx(0.1 / 1.32)
    lost.add(0.9, 0.5, 0.0)
    assert lost.weight(0.1) == 0.0


def test_the_one_that_is_right_is_trusted() -> None:
    fusion = Fusion(Says(0.9), Says(0.3))
    first = fusion.learn(WON)
    assert (first["weight_root"], first["weight_prefix"]) == (0.5, 0.5)
    assert first["brier_root"] == pytest.approx(0.4**2)
    assert first["brier_root_learned"] == pytest.approx(0.01)
    assert first["brier_root_beta"] == pytest.approx(0.49)
    assert first["learned/steps"] == first["counts/steps"] == 1.0
    for _ in range(5):
        found = fusion.learn(WON)
    assert found["weight_root"] > 0.8
    assert found["brier_root"] < first["brier_root"] / 2


def test_a_predictor_is_not_trusted_for_what_was_cut_on_its_word() -> None:
    """Every rollout was cut at a worth of .1, which is what the learned one says: nothing is known of either.
    One that was spared and won speaks against it."""
    cut, spared = grow_tree("0 1 1 1 .", "0 1 1 1 ."), grow_tree("0 1 1 1 .", "0 1 1 +")
    for tree, rollouts in ((cut, (0, 1)), (spared, (0,))):
        for rollout in rollouts:
            tree.stop(rollout, StopReason.CUT, worth=0.1)
    fusion = Fusion(Says(0.1), Says(0.5))
    assert fusion.learn(Forest(0, [cut])) == {"learned/steps": 1.0, "counts/steps": 1.0}
    found = fusion.learn(Forest(1, [spared]))
    assert (found["weight_root"], found["brier_root_learned"]) == (0.5, pytest.approx(0.81))
    assert fusion.learn(Forest(2, [spared]))["weight_root"] < 0.5


def test_a_predictor_worse_than_counts_fades_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    fusion = Fusion(Says(0.9), Says(0.2))
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            found = fusion.learn(LOST)
    assert found["weight_root"] < 0.1
    assert found["weight_prefix"] < 0.1
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert (
        "the learned predictor is worse than counts on roots (Brier 0.810 against 0.040): weighted" in said[0]
    )
    assert "on prefixes" in said[1]


def test_mixtures_have_the_mean_and_variance_of_both() -> None:
    """Beta(2, 2) and Beta(2, 2) mix to themselves; Beta(1, 1) and Beta(9, 1), half each: mean .7, variance
    half of 1/12 + 9/1100 plus .2^2."""
    same = mixture(Prediction(0.5, 4.0), Prediction(0.5, 4.0), 0.3)
    assert (same.mean, same.concentration) == (0.5, pytest.approx(4.0))
    mixed = mixture(Prediction(0.5, 2.0, 8.0, 4.0), Prediction(0.9, 10.0, None, 2.0), 0.5)
    variance = (1 / 12 + 9 / 1100) / 2 + 0.04
    assert mixed.mean == pytest.approx(0.7)
    assert mixed.concentration == pytest.approx(0.21 / variance - 1)
    assert (mixed.tokens, mixed.turns) == (8.0, 3.0)
    assert mixture(Prediction(0.5), Prediction(0.5), 0.5).tokens is None


def test_state_travels_as_json() -> None:
    fusion, other = Fusion(Says(0.9), BetaPredictor()), Fusion(Says(0.9), BetaPredictor())
    fusion.learn(WON)
    fusion.learn(LOST)
    other.load_state_dict(json.loads(json.dumps(fusion.state_dict())))
    assert other.state_dict() == fusion.state_dict()
    assert other.learn(WON) == fusion.learn(WON)


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="decay must lie in"):
        Fusion(Says(0.5), Says(0.5), decay=0.0)
    with pytest.raises(ValueError, match="prior must be positive"):
        Fusion(Says(0.5), Says(0.5), prior=0.0)
