"""Corrections by hand."""

from __future__ import annotations

import math

import pytest
import torch

from trace_gym.core.errors import UnknownName
from trace_gym.train.config import TrainConfig
from trace_gym.train.correction import CORRECTIONS, correction_named

W = [0.1, 0.5, 0.995, 1.0, 1.5, 3.0, 6.0]
TABLE = {
    "tis": [0.1, 0.5, 0.995, 1.0, 1.5, 2.0, 2.0],
    "icepop": [0.0, 0.5, 0.995, 1.0, 1.5, 3.0, 0.0],
    "geometric": [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("name", CORRECTIONS)
def test_factors_by_hand(name: str) -> None:
    made = CORRECTIONS[name]
    log_w = torch.tensor([math.log(w) for w in W], dtype=torch.float64)
    nudge = 1e-12 if name == "icepop" else 0.0
    factor = made.factor(log_w + nudge, made.low, made.high)
    assert factor.tolist() == pytest.approx(TABLE[name])


def test_only_rejection_looks_at_branches() -> None:
    assert {name: made.level for name, made in CORRECTIONS.items()} == {
        "tis": "token",
        "icepop": "token",
        "geometric": "branch",
    }
    assert correction_named("none") is None
    with pytest.raises(UnknownName, match="did you mean 'icepop'"):
        correction_named("ice_pop")


def test_a_correction_needs_two_log_probs_and_an_interval() -> None:
    with pytest.raises(ValueError, match="old_logprobs"):
        TrainConfig(correction="tis", old_logprobs="behaviour")
    with pytest.raises(ValueError, match="0 <= low <= high"):
        TrainConfig(correction="tis", correction_low=3.0)
    assert TrainConfig(correction="icepop", correction_high=2.0).correction_bounds == (0.5, 2.0)
