"""Cloning: what is imitated, what is not, and that it is the same every time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from trace_gym.core.episode import Actor
from trace_gym.core.tree import Forest
from trace_gym.train.warmstart import CloningStep, demonstrations, warm_start

ORACLE, NOISE = Actor.ORACLE, Actor.AGENT


def shown(
    gardeners: Any, seed: int = 0, *, trees: int = 6, actors: tuple[Actor, ...] = (ORACLE,) * 3
) -> Forest:
    garden = gardeners(seed)
    for _ in range(trees):
        garden.play(garden.plant(), True, turns=len(actors), actors=actors)
    forest: Forest = garden.forest()
    return forest


def test_only_oracle_turns_are_trained(gardeners: Any) -> None:
    forest = shown(gardeners, actors=(ORACLE, NOISE, ORACLE, Actor.POLICY))
    for tree, made in zip(forest.trees, demonstrations(forest), strict=True):
        turns = tree.turns
        wanted = [int(i) for n in (1, 3) for i in turns[n].action_ids]
        assert made.tokens[made.trained].tolist() == wanted
        assert made.tokens.tolist() == tree.tokens(3).tolist()
    assert demonstrations(shown(gardeners, actors=(NOISE, Actor.POLICY))) == []


def test_others_are_imitated_where_one_says_so(gardeners: Any, small_llama: Any) -> None:
    forest = shown(gardeners, actors=(ORACLE, NOISE, Actor.POLICY))
    for tree, made in zip(forest.trees, demonstrations(forest, imitated=(ORACLE, NOISE)), strict=True):
        wanted = [int(i) for n in (1, 2) for i in tree.turns[n].action_ids]
        assert made.tokens[made.trained].tolist() == wanted
    noise = shown(gardeners, actors=(NOISE,))
    metrics = warm_start(small_llama(), [noise], steps=80, lr=0.02, batch_tokens=200, imitated=(NOISE,))
    assert metrics["loss"] < 0.3 < metrics["loss_first"]


def test_it_memorises(gardeners: Any, small_llama: Any) -> None:
    model, seen = small_llama(), []
    metrics = warm_start(
        model, [shown(gardeners)], steps=80, lr=0.02, batch_tokens=200, on_progress=seen.append
    )
    assert metrics["loss_first"] > math.log(10)
    assert metrics["loss"] < 0.3
    assert metrics["likely"] > 0.95
    assert metrics["steps"] == len(seen) == 80
    assert metrics["tokens"] == seen[-1].tokens
    assert [step.fraction for step in seen] == [i / 80 for i in range(80)]


def test_the_first_gradient_is_that_of_cross_entropy(gardeners: Any, small_llama: Any) -> None:
    forest = shown(gardeners, trees=1)
    path = torch.tensor(forest.trees[0].tokens(3).tolist())
    trained = demonstrations(forest)[0].trained
    logits = small_llama()(input_ids=path[None]).logits[0]
    expected = torch.nn.functional.cross_entropy(logits[trained - 1], path[trained])
    first: list[CloningStep] = []
    warm_start(small_llama(), [forest], steps=1, on_progress=first.append)
    assert first[0].loss == pytest.approx(float(expected.detach()), rel=1e-5)


def test_steps_make_it_deterministic(gardeners: Any, small_llama: Any) -> None:
    def run(seed: int) -> list[bytes]:
        model = small_llama()
        forests = (shown(gardeners, i) for i in range(3))
        warm_start(model, forests, steps=25, lr=0.01, batch_tokens=60, seed=seed)
        return [p.detach().numpy().tobytes() for p in model.parameters()]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_seconds_end_it(gardeners: Any, small_llama: Any) -> None:
    ticks = iter(np.arange(0.0, 100.0, 0.5).tolist())
    metrics = warm_start(small_llama(), [shown(gardeners)], seconds=5.0, clock=ticks.__next__)
    assert metrics["steps"] == 9.0
    assert metrics["seconds"] == 5.5


def test_forests_are_taken_as_they_are_needed(gardeners: Any, small_llama: Any) -> None:
    taken: list[int] = []

    def stream() -> Any:
        for i in range(100):
            taken.append(i)
            yield shown(gardeners, i, trees=2)

    warm_start(small_llama(), stream(), steps=5, batch_tokens=1000)
    assert taken == [0, 1, 2, 3, 4, 5]


def test_branching_demonstrations_are_cloned_too(gardener: Any, small_llama: Any) -> None:
    tree = gardener.plant()
    gardener.play(tree, True, turns=3, actors=[ORACLE] * 3)
    gardener.play(tree, True, turns=2, actors=[ORACLE] * 2, anchor=1)
    metrics = warm_start(small_llama(), [gardener.forest()], steps=60, lr=0.02)
    assert metrics["loss"] < 0.5


@pytest.mark.parametrize("budget", [{}, {"steps": 1, "seconds": 1.0}, {"steps": 0}, {"seconds": -1.0}])
def test_a_budget_is_needed(gardeners: Any, small_llama: Any, budget: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cloning needs"):
        warm_start(small_llama(), [shown(gardeners)], **budget)


def test_nothing_to_clone_is_told(gardeners: Any, small_llama: Any) -> None:
    with pytest.raises(ValueError, match="nothing to clone"):
        warm_start(small_llama(), [shown(gardeners, actors=(NOISE,))], steps=1)
