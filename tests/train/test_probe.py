"""Probes: which prompts are asked, that the trainer's scores are its model's, and the distance by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from trace_gym.core.episode import Actor
from trace_gym.core.policy import Completion, Finish
from trace_gym.core.tokens import floats, ids
from trace_gym.train.config import TrainConfig
from trace_gym.train.probe import parity, probe_prompts
from trace_gym.train.trainer import Trainer


def test_prompts_are_of_the_policy_and_of_different_trees(gardener: Any) -> None:
    for _ in range(4):
        gardener.wild()
    gardener.play(gardener.plant(), True, turns=3, actors=[Actor.ORACLE] * 3)
    forest = gardener.forest()
    given = [
        {
            (*tree.tokens(turn.parent).tolist(), *turn.context_ids.tolist())
            for turn in tree.turns
            if turn.actor is Actor.POLICY
        }
        for tree in forest.trees
    ]
    found = [tuple(prompt.tolist()) for prompt in probe_prompts(forest, 3, longest=100)]
    assert len(found) == 3
    assert len({next(i for i, known in enumerate(given) if p in known) for p in found}) == 3
    assert found == [tuple(p.tolist()) for p in probe_prompts(forest, 3, longest=100)]
    assert len(probe_prompts(forest, 9, longest=100)) == 4
    assert all(len(p) < 6 for p in probe_prompts(forest, 9, longest=6))
    assert probe_prompts(forest, 9, longest=1) == []


def test_scores_are_the_models(small_llama: Any) -> None:
    trainer = Trainer(small_llama(), TrainConfig(temperature=0.7))
    prompt, completion = ids([3, 5, 9]), ids([4, 1])
    (found,) = trainer.score([(prompt, completion)])
    with torch.no_grad():
        logits = trainer.model(input_ids=torch.tensor([[3, 5, 9, 4, 1]])).logits[0] / 0.7
    expected = logits.log_softmax(-1)[[2, 3], [4, 1]].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_parity_by_hand() -> None:
    def said(logprobs: list[float], version: int) -> Completion:
        tokens = ids(range(len(logprobs)))
        return Completion(tokens, floats(logprobs), floats([0.0] * len(logprobs)), version, Finish.STOP, 1)

    scored = [np.array([-1.0, -2.0]), np.array([-3.0])]
    found = parity([said([-1.5, -2.0], 7), said([-3.25], 6)], scored, version=7)
    assert found == {
        "parity_gap": pytest.approx(0.25),
        "parity_gap_max": pytest.approx(0.5),
        "parity_version_gap": 1.0,
    }
    assert parity([], [], version=1) == {}
