"""The noise of a gradient by hand, and as an update reports it."""

from typing import Any

import pytest
import torch

from trace_gym.train.config import TrainConfig
from trace_gym.train.noise import noise
from trace_gym.train.trainer import Trainer


def test_two_gradients_by_hand() -> None:
    """(3, 1) and (1, 1): mean (2, 1), squared length 5; each is 1 away from it, so 2 / (2-1) / 2."""
    found = noise([torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0])])
    assert found == {"gradient_noise": pytest.approx(1.0), "gradient_square": pytest.approx(5.0)}
    assert noise([torch.tensor([3.0, 1.0])]) == {}


def test_the_true_length_is_found_without_bias() -> None:
    """Gradients (1, 0, ..., 0) plus noise of deviation .5 in 50 directions, four parts each."""
    draw = torch.Generator().manual_seed(0)
    true = torch.zeros(50, dtype=torch.float64)
    true[0] = 1.0
    found = [
        noise([true + 0.5 * torch.randn(50, generator=draw, dtype=torch.float64) for _ in range(4)])
        for _ in range(500)
    ]
    spread = sum(f["gradient_noise"] for f in found) / 500
    square = sum(f["gradient_square"] for f in found) / 500
    assert spread == pytest.approx(50 * 0.25 / 4, rel=0.05)
    assert square - spread == pytest.approx(1.0, rel=0.1)


def test_an_update_measures_before_it_steps(gardeners: Any, small_llama: Any) -> None:
    """Measuring changes nothing that is learnt; the one minibatch of a single tree tells nothing."""
    weights, told = [], []
    for measured, trees in ((False, 6), (True, 6), (True, 1)):
        garden = gardeners(0)
        for _ in range(trees):
            garden.wild()
        config = TrainConfig(lr=0.01, epochs=2, minibatches=2, noise=measured)
        trainer = Trainer(small_llama(), config)
        told.append(trainer.update(garden.forest()))
        weights.append(torch.cat([p.detach().reshape(-1) for p in trainer.model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert "gradient_noise" not in told[0]
    assert "gradient_noise" not in told[2]
    assert 0.0 < told[1]["gradient_noise"] <= 2.0 * told[1]["gradient_square"]
    assert told[0]["grad_norm"] == told[1]["grad_norm"]


def test_the_noise_of_one_minibatch_is_refused() -> None:
    with pytest.raises(ValueError, match="set minibatches to at least 2"):
        TrainConfig(noise=True)
