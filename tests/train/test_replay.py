"""Trees of earlier steps trained on again: what an update is made of, and what it must not be made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from trace_gym.core.tree import Forest
from trace_gym.train.config import TrainConfig
from trace_gym.train.credit import credit
from trace_gym.train.replay import Crediting, gains
from trace_gym.train.trainer import Trainer

AGAIN: dict[str, Any] = {"lr": 0.01, "eps": 1e-3, "old_logprobs": "behaviour"}


def forests(gardeners: Any, count: int) -> list[Forest]:
    """Of two trees with contrast and one without."""
    found = []
    for seed in range(count):
        garden = gardeners(seed)
        garden.wild()
        garden.wild()
        garden.play(garden.plant(), True)
        found.append(garden.forest(seed))
    return found


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("loss", [{}, {"loss": "gspo", "clip_low": 0.9, "clip_high": 50.0}])
def test_an_update_is_that_of_all_trees_at_once(
    gardeners: Any, small_llama: Any, loss: dict[str, Any], packed: bool
) -> None:
    first, second = forests(gardeners, 2)
    assert {tree.index for tree in first.trees} == {tree.index for tree in second.trees}
    keys = {**AGAIN, **loss, "packed": packed}
    again = Trainer(small_llama(), TrainConfig(**keys, replay=1))
    again.remember(first)
    told = again.update(second)
    teaching = [tree for tree in first.trees if tree.mixed]
    once = Trainer(small_llama(), TrainConfig(**keys))
    apart = [replace(tree, index=10 + number) for number, tree in enumerate(teaching)]
    plain = once.update(Forest(1, [*second.trees, *apart]))
    assert (told["replayed_trees"], plain["replayed_trees"]) == (2.0, 0.0)
    assert (told["trees"], told["contrast_trees"]) == (3.0, 2.0), "the step's own"
    assert told["trained_tokens"] == plain["trained_tokens"]
    assert told["grad_norm"] == plain["grad_norm"] > 0
    for name, weight in again.model.named_parameters():
        assert torch.equal(weight, once.model.get_parameter(name)), name


def test_only_the_last_steps_are_remembered(gardeners: Any) -> None:
    crediting = Crediting(TrainConfig(**AGAIN, replay=2))
    steps = forests(gardeners, 4)
    for number, forest in enumerate(steps):
        fresh, again = crediting.of(forest)
        assert [c.tree for c in fresh] == forest.trees
        expected = [tree for past in steps[max(0, number - 2) : number] for tree in past.trees if tree.mixed]
        assert [id(c.tree) for c in again] == [id(tree) for tree in expected]


def test_without_replay_nothing_is_kept(gardeners: Any) -> None:
    crediting = Crediting(TrainConfig())
    assert [len(crediting.of(forest)[1]) for forest in forests(gardeners, 3)] == [0, 0, 0]


def test_gains_leave_what_is_to_be_made_likelier(gardener: Any) -> None:
    tree = gardener.plant()
    won = gardener.play(tree, True, turns=2)
    lost = gardener.play(tree, False, turns=1, anchor=won[0])
    (whole,) = credit([tree])
    kept = gains(whole)
    assert whole.minus[lost[0]] < 0 < whole.plus[won[1]]
    assert np.array_equal(kept.plus, whole.plus)
    assert not kept.minus.any()
    assert np.array_equal(kept.weight, whole.weight)


def test_a_tree_in_which_nothing_gains_is_not_replayed(gardeners: Any) -> None:
    first, second = forests(gardeners, 2)
    crediting = Crediting(TrainConfig(**AGAIN, replay=1, replay_gains=True))
    crediting.of(first)
    _, again = crediting.of(second)
    assert len(again) == 2
    assert all(c.plus.any() and not c.minus.any() for c in again)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"replay": 1}, "older weights"),
        ({"replay": -1, "old_logprobs": "behaviour"}, "at least 0"),
        ({"replay_gains": True}, "set replay to at least 1"),
    ],
)
def test_what_cannot_be_replayed_is_refused(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TrainConfig(**keys)
