"""Losses against TRL's GRPOTrainer: the same branches, weights and old weights, its loss code and ours."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from trace_gym.train.config import TrainConfig
from trace_gym.train.credit import credit
from trace_gym.train.logprob import LogprobKernel
from trace_gym.train.objective import Objective, Share
from trace_gym.train.pack import Layout, pack
from trace_gym.train.sequence import Sequences, alone

CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"loss": "dapo"}, {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28}),
    ({"loss": "ppo", "dual_clip": 1.5}, {"loss_type": "dapo", "epsilon_high": 0.2, "delta": 1.5}),
    ({"loss": "grpo"}, {"loss_type": "grpo", "epsilon_high": 0.2}),
    (
        {"loss": "drgrpo", "response_tokens": 77},
        {"loss_type": "dr_grpo", "epsilon_high": 0.2, "max_completion_length": 77},
    ),
    ({"loss": "cispo", "clip_high": 0.3}, {"loss_type": "cispo", "epsilon_high": 1.3}),
    (
        {"loss": "gspo", "clip_low": 0.01, "clip_high": 0.02},
        {
            **{"loss_type": "grpo", "importance_sampling_level": "sequence"},
            **{"epsilon": 0.01, "epsilon_high": 0.02},
        },
    ),
]


def completion_logprobs(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """(B, C) under a plain forward pass."""
    token_ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    size = batch["completion_ids"].shape[1]
    logits = model(input_ids=token_ids, attention_mask=mask).logits[:, -size - 1 : -1]
    return logits.log_softmax(-1).gather(2, batch["completion_ids"][..., None])[..., 0]


@pytest.mark.needs("trl")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("ours", "theirs"), CASES)
def test_gradients_are_trls(
    gardeners: Any, small_llama: Any, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    from trace_gym.bench.train_trl import TRL

    garden = gardeners(11)
    for _ in range(3):
        garden.wild()
    config = TrainConfig(token_weight="leaf_sum", **ours)
    per_branch = config.rule.per == "branch"
    credits_ = credit(garden.trees, token_weight="leaf_sum", per_branch=per_branch)
    assert {len(made.branches) for made in credits_} == {6}
    model = small_llama(hidden=32)
    before = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.03 * torch.randn(weight.shape, generator=generator)

    with TRL(model, credits_, config, token_budget=1 << 20, options=theirs) as trl:
        (batch,) = trl.batches
        with torch.no_grad():
            batch["old_per_token_logps"] = completion_logprobs(before, batch)
        loss = trl.loss(batch)
        loss.backward()
        expected = [p.grad for p in trl.model.parameters() if p.grad is not None]

    objective = Objective(config)
    batches, _ = pack(credits_, Layout(keep_weighted=objective.whole_branches))
    sequences = Sequences.of(credits_) if objective.whole_branches else None
    share = Share(batches, config.divisor(credits_), sequences)
    kernel, old = LogprobKernel(model, packed=True), LogprobKernel(before, packed=True)
    with torch.no_grad():
        share.old = [old(b) for b in batches]
        now = objective.coefficients(share, [kernel(b) for b in batches], total=alone)
    total = 0.0
    for made, known in zip(now, share.old, strict=True):
        assert known is not None
        part = objective.loss(kernel(made), made, old=known, reference=None, divisor=share.divisor)
        part.backward()
        total += float(part)
    if config.rule.level == "token":
        assert total == pytest.approx(float(loss), rel=1e-4, abs=1e-6)
    found = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-4 * float(right.abs().max()))
