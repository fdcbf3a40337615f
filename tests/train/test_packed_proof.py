"""The proof that packing changes nothing: packed trees against leaf-by-leaf training, step after step.

Weights are compared with an absolute tolerance too: gradients that are zero but for rounding (attention is
blind to a shift of all keys) still move Adam by up to lr * 1e-17 / eps.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from trace_gym.core.tree import Forest
from trace_gym.train.advantage import ADVANTAGES
from trace_gym.train.config import TrainConfig
from trace_gym.train.credit import Credit, credit
from trace_gym.train.token_weight import TOKEN_WEIGHTS
from trace_gym.train.trainer import Trainer

STEPS = 5


def forests(gardeners: Any, count: int, *, trees: int = 3, tokens: tuple[int, int] = (1, 4)) -> list[Forest]:
    """Random branching trees: every one has forks below the root."""
    made = []
    for step in range(count):
        garden = gardeners(100 + step, tokens=tokens)
        for _ in range(trees):
            garden.wild()
        made.append(garden.forest(step))
    return made


def gradients(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}


def far(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    """The largest difference relative to the largest entry of each tensor."""
    assert left.keys() == right.keys()
    assert left
    return max(float((left[n] - right[n]).abs().max() / right[n].abs().max().clamp(min=1e-30)) for n in left)


def by_definition(
    model: Any, credits_: list[Credit], before: dict[tuple[int, int], torch.Tensor]
) -> torch.Tensor:
    """-sum over branches and tokens of W min(r A, clip(r) A) / sum W, each branch in a pass of its own.

    `before` keeps the old log-probs of each (tree, node); it is filled on the first call.
    """
    total, mass = torch.zeros((), dtype=torch.float64), 0.0
    for made in credits_:
        for branch in made.branches:
            path = torch.tensor(made.tree.tokens(branch.leaf).tolist())
            logits = model(input_ids=path[None]).logits[0]
            logprobs = logits.log_softmax(-1)[:-1].gather(1, path[1:, None])[:, 0]
            end = 0
            for node, gain, weight in zip(branch.nodes, branch.advantages, branch.weights, strict=True):
                turn = made.tree.turns[node]
                start = end + len(turn.context_ids)
                end = start + len(turn.action_ids)
                mine = logprobs[start - 1 : end - 1]
                old = before.setdefault((made.tree.index, node), mine.detach())
                ratio = (mine - old).exp()
                clipped = ratio.clamp(0.8, 1.28)
                total = total + weight * torch.minimum(ratio * gain, clipped * gain).sum()
                mass += weight * len(mine)
    return -total / mass


@pytest.mark.parametrize(
    ("advantage", "token_weight"),
    [
        *((name, "path") for name in ADVANTAGES),
        *(("drgrpo", name) for name in TOKEN_WEIGHTS if name != "path"),
    ],
)
def test_fp64_gradients_equal_leaf_by_leaf_over_five_steps(
    gardeners: Any, small_neox: Any, advantage: str, token_weight: str
) -> None:
    """Against autograd written out from the definition, one branch at a time."""
    config = TrainConfig(
        lr=0.02, epochs=1, max_grad_norm=1e9, advantage=advantage, token_weight=token_weight, token_budget=60
    )
    trainer = Trainer(small_neox(), config)
    reference = copy.deepcopy(trainer.model)
    optimizer = torch.optim.AdamW(reference.parameters(), lr=0.02, betas=config.betas, weight_decay=0.0)
    for forest in forests(gardeners, STEPS):
        trainer.update(forest)
        credits_ = credit(forest.trees, advantage=advantage, token_weight=token_weight)
        optimizer.zero_grad()
        by_definition(reference, credits_, {}).backward()
        expected = {n: p.grad for n, p in reference.named_parameters() if p.grad is not None}
        assert far(gradients(trainer), expected) < 1e-10
        optimizer.step()


def test_fp64_several_clipped_epochs(gardeners: Any, small_neox: Any) -> None:
    """Five optimiser steps on one forest, far enough for the clip to bite."""
    (forest,) = forests(gardeners, 1)
    trainer = Trainer(small_neox(), TrainConfig(lr=0.05, epochs=STEPS, max_grad_norm=1e9))
    reference = copy.deepcopy(trainer.model)
    optimizer = torch.optim.AdamW(
        reference.parameters(), lr=0.05, betas=trainer.config.betas, weight_decay=0.0
    )
    before: dict[tuple[int, int], torch.Tensor] = {}
    for _ in range(STEPS):
        optimizer.zero_grad()
        by_definition(reference, credit(forest.trees), before).backward()
        optimizer.step()
    metrics = trainer.update(forest)
    assert metrics["optimiser_steps"] == STEPS
    assert metrics["clip_share"] > 0.05
    expected = {n: p.grad for n, p in reference.named_parameters() if p.grad is not None}
    assert far(gradients(trainer), expected) < 1e-10
    weights = dict(reference.named_parameters())
    for name, found in trainer.model.named_parameters():
        torch.testing.assert_close(found, weights[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("token_budget", [4096, 300])
def test_fp64_packed_and_unpacked_runs_are_one(gardeners: Any, small_neox: Any, token_budget: int) -> None:
    """The same run twice, minibatches, KL and dual clip included. Rows of several trees; with the
    small budget, trees that are cut."""
    runs = []
    for packed in (True, False):
        config = TrainConfig(
            lr=0.02,
            epochs=2,
            minibatches=2,
            kl=0.1,
            dual_clip=3.0,
            advantage="node",
            packed=packed,
            token_budget=token_budget,
        )
        trainer = Trainer(small_neox(), config)
        trail = []
        for forest in forests(gardeners, STEPS, trees=4, tokens=(3, 12)):
            metrics = trainer.update(forest)
            trail.append((gradients(trainer), metrics))
        runs.append((trainer, trail))
    (packed_run, packed_trail), (plain_run, plain_trail) = runs
    for (left, left_metrics), (right, right_metrics) in zip(packed_trail, plain_trail, strict=True):
        assert far(left, right) < 1e-10
        for name in ("loss", "grad_norm"):
            assert left_metrics[name] == pytest.approx(right_metrics[name], rel=1e-9)
        assert left_metrics["tokens_unique"] < left_metrics["tokens_raw"]
        assert left_metrics["tokens_computed"] > 256
    weights = dict(plain_run.model.named_parameters())
    for name, found in packed_run.model.named_parameters():
        torch.testing.assert_close(found, weights[name], rtol=1e-9, atol=1e-9)


def test_fp32_model_within_1e_5(gardeners: Any, small_llama: Any) -> None:
    """A Hugging Face model in float32: gradients of one step, relative to the largest entry."""
    for tied in (True, False):
        grads = []
        for packed in (True, False):
            config = TrainConfig(lr=0.0, epochs=1, max_grad_norm=1e9, packed=packed)
            trainer = Trainer(small_llama(hidden=32, tied=tied), config)
            trainer.update(forests(gardeners, 1, trees=6)[0])
            grads.append(gradients(trainer))
        assert far(*grads) < 1e-5


def test_fp32_short_run_ends_with_the_same_weights(gardeners: Any, small_llama: Any) -> None:
    ends = []
    for packed in (True, False):
        trainer = Trainer(
            small_llama(hidden=32), TrainConfig(lr=1e-3, epochs=2, minibatches=2, packed=packed)
        )
        start = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
        for forest in forests(gardeners, 4):
            trainer.update(forest)
        ends.append({n: p.detach() for n, p in trainer.model.named_parameters()})
    moved = max(float((ends[0][n] - start[n]).abs().max()) for n in start)
    apart = max(float((ends[0][n] - ends[1][n]).abs().max()) for n in start)
    assert moved > 1e-2
    assert apart < 1e-2 * moved
