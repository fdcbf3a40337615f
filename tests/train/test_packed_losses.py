"""Every loss and correction on packed trees against autograd written out from its definition, one branch at a
time in float64, over five clipped optimiser steps with real branches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from trace_gym.core.tokens import floats
from trace_gym.core.tree import Forest
from trace_gym.train.config import TrainConfig
from trace_gym.train.credit import Branch, Credit, credit
from trace_gym.train.trainer import Trainer

STEPS = 5
LR = 0.03
Term = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(log r, log pi, log mu, A) of a branch's n tokens -> what each of them adds, (n,)."""


def clipped(low: float, high: float) -> Term:
    def term(log_r: torch.Tensor, new: torch.Tensor, mu: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        ratio = log_r.exp()
        return torch.minimum(ratio * gain, ratio.clamp(1 - low, 1 + high) * gain)

    return term


def gspo(log_r: torch.Tensor, new: torch.Tensor, mu: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return clipped(0.1, 0.2)(log_r.mean().expand_as(log_r), new, mu, gain)


def cispo(log_r: torch.Tensor, new: torch.Tensor, mu: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return log_r.exp().clamp(0.0, 1.1).detach() * gain * new


def dppo(log_r: torch.Tensor, new: torch.Tensor, mu: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    apart = new.exp() - mu.exp()
    harmful = ((gain > 0) & (apart > 0.05)) | ((gain < 0) & (apart < -0.05))
    return torch.where(harmful, 0.0, log_r.exp() * gain)


LOSSES: dict[str, tuple[Term, dict[str, Any]]] = {
    "ppo": (clipped(0.2, 0.2), {}),
    "grpo": (clipped(0.2, 0.2), {}),
    "gspo": (gspo, {"clip_low": 0.1, "clip_high": 0.2}),
    "cispo": (cispo, {"clip_high": 0.1}),
    "dppo": (dppo, {"clip_low": 0.05, "clip_high": 0.05}),
}
PER_BRANCH = {"grpo", "gspo"}
Factor = Callable[[torch.Tensor], torch.Tensor]
CORRECTIONS: dict[str, tuple[Factor, dict[str, float]]] = {
    "tis": (lambda log_w: log_w.exp().clamp(max=1.2), {"correction_high": 1.2}),
    "icepop": (
        lambda log_w: torch.where((log_w.exp() >= 0.8) & (log_w.exp() <= 1.25), log_w.exp(), 0.0),
        {"correction_low": 0.8, "correction_high": 1.25},
    ),
    "geometric": (
        lambda log_w: (log_w.mean().exp() - 1).abs().le(0.05).double().expand_as(log_w),
        {"correction_low": 0.95, "correction_high": 1.05},
    ),
}


def sampled_nearby(forest: Forest, model: Any, seed: int = 0) -> Forest:
    """The forest as a sampler would have recorded it that computes a little differently from `model`."""
    rng = np.random.default_rng(seed)
    for tree in forest.trees:
        for node in range(1, len(tree.turns)):
            turn = tree.turns[node]
            path = torch.tensor(tree.tokens(node).tolist())
            with torch.no_grad():
                found = model(input_ids=path[None]).logits[0].log_softmax(-1)[:-1].gather(1, path[1:, None])
            mine = found[-len(turn.action_ids) :, 0].numpy() + rng.normal(0, 0.2, len(turn.action_ids))
            tree.turns[node] = replace(turn, logprobs=floats(mine))
    return forest


class ByDefinition:
    """The loss of a forest, branch by branch; old log-probs are those of the first call."""

    def __init__(self, model: Any, credits_: list[Credit], term: Term, *, per_branch: bool, factor: Factor):
        self.model, self.credits, self.term = model, credits_, term
        self.per_branch, self.factor = per_branch, factor
        self.old: dict[tuple[int, int], torch.Tensor] = {}

    def __call__(self) -> torch.Tensor:
        total, mass = torch.zeros((), dtype=torch.float64), 0.0
        for made in self.credits:
            for branch in made.branches:
                part, weight = self._branch(made, branch)
                total, mass = total + part, mass + weight
        return -total / mass

    def _branch(self, made: Credit, branch: Branch) -> tuple[torch.Tensor, float]:
        path = torch.tensor(made.tree.tokens(branch.leaf).tolist())
        logprobs = (
            self.model(input_ids=path[None]).logits[0].log_softmax(-1)[:-1].gather(1, path[1:, None])[:, 0]
        )
        turns = [made.tree.turns[node] for node in branch.nodes]
        ends = np.cumsum([len(t.context_ids) + len(t.action_ids) for t in turns])
        at = (
            np.concatenate([np.arange(e - len(t.action_ids), e) for e, t in zip(ends, turns, strict=True)])
            - 1
        )
        each = [len(t.action_ids) for t in turns]
        new = logprobs[torch.from_numpy(at)]
        mu = torch.tensor(np.concatenate([t.logprobs for t in turns]), dtype=torch.float64)
        gain, weight = (torch.tensor(np.repeat(x, each)) for x in (branch.advantages, branch.weights))
        old = self.old.setdefault((made.tree.index, branch.leaf), new.detach())
        weight = weight / len(new) if self.per_branch else weight
        terms = weight * self.factor(old - mu) * self.term(new - old, new, mu, gain)
        return terms.sum(), float(weight.sum())


CASES = [
    *((loss, "none", "drgrpo") for loss in LOSSES),
    *(("ppo", correction, "drgrpo") for correction in CORRECTIONS),
    ("gspo", "geometric", "drgrpo"),
    ("grpo", "none", "node"),
]


@pytest.mark.parametrize(("loss", "correction", "advantage"), CASES)
def test_five_steps_as_defined(
    gardeners: Any, small_neox: Any, loss: str, correction: str, advantage: str
) -> None:
    term, options = LOSSES[loss]
    factor, bounds = CORRECTIONS.get(correction, (torch.ones_like, {}))
    config = TrainConfig(
        lr=LR,
        epochs=STEPS,
        max_grad_norm=1e9,
        loss=loss,
        correction=correction,
        advantage=advantage,
        token_budget=80,
        **options,
        **bounds,
    )
    garden = gardeners(5)
    for _ in range(3):
        garden.wild()
    trainer = Trainer(small_neox(), config)
    forest = sampled_nearby(garden.forest(), trainer.model)
    reference = copy.deepcopy(trainer.model)
    optimizer = torch.optim.AdamW(reference.parameters(), lr=LR, betas=config.betas, weight_decay=0.0)
    credits_ = credit(forest.trees, advantage=advantage)
    defined = ByDefinition(reference, credits_, term, per_branch=loss in PER_BRANCH, factor=factor)
    for _ in range(STEPS):
        optimizer.zero_grad()
        defined().backward()
        optimizer.step()
    metrics = trainer.update(forest)
    assert metrics["optimiser_steps"] == STEPS
    assert metrics["micro_batches"] > 1
    if loss != "cispo" and correction == "none":
        assert metrics["clip_share"] > 0.0
    if correction == "geometric":
        assert 0.0 < metrics["rejected_share"] < 1.0
    for name, found in trainer.model.named_parameters():
        expected = dict(reference.named_parameters())[name].grad
        assert found.grad is not None
        torch.testing.assert_close(found.grad, expected, rtol=1e-8, atol=1e-9 * float(expected.abs().max()))
