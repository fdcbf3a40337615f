"""How far an update moves the policy: which tokens are looked at, and what is said of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from trace_gym.train.config import TrainConfig
from trace_gym.train.credit import credit
from trace_gym.train.logprob import LogprobKernel
from trace_gym.train.movement import LEAST, Movement, drawn
from trace_gym.train.pack import Layout, pack, stack
from trace_gym.train.trainer import Trainer
from trace_gym.train.watchdog import WATCHES, WatchConfig, Watchdogs
from trace_gym.train.world import World


def grove(gardeners: Any, seed: int = 0, *, trees: int = 3, **options: Any) -> Any:
    garden = gardeners(seed, **options)
    for _ in range(trees):
        garden.wild()
    return garden


def k3(now: torch.Tensor, before: torch.Tensor) -> float:
    ratio = (now - before).double()
    return float((ratio.exp() - 1 - ratio).mean())


def test_all_branches_are_looked_at_where_there_is_room(gardeners: Any, small_llama: Any) -> None:
    """And what is said of them is the mean over their tokens, from nothing but the two policies."""
    credits_ = credit(grove(gardeners).trees)
    before, after = small_llama(seed=0), small_llama(seed=1)
    rows = drawn(credits_, 10**6, np.random.default_rng(0))
    kernel = LogprobKernel(before)
    movement = Movement(kernel, [stack([row], chains=True) for row in rows], World())
    movement.begin()
    (batch,), _ = pack(credits_, Layout(packed=False))
    with torch.no_grad():
        old = kernel(batch)
        assert movement.nats() == 0.0
        for mine, other in zip(before.parameters(), after.parameters(), strict=True):
            mine.copy_(other)
        expected = k3(kernel(batch), old)
    assert movement.nats() == pytest.approx(expected, rel=1e-5)
    assert expected > 0.1


def test_branches_are_drawn_evenly_and_within_bounds(gardeners: Any) -> None:
    credits_ = credit(grove(gardeners, tokens=(3, 6)).trees)
    branches = {made.tree.tokens(b.leaf).tobytes() for made in credits_ for b in made.branches}
    lengths = [len(made.tree.tokens(b.leaf)) for made in credits_ for b in made.branches]
    first: Counter[bytes] = Counter()
    for seed in range(300):
        rows = drawn(credits_, 100, np.random.default_rng(seed))
        assert sum(len(row) for row in rows) <= 100
        assert sum(len(row) for row in rows) > 100 - max(lengths)
        whole = [row.tokens.astype(np.int32).tobytes() for row in rows]
        assert set(whole) <= branches
        assert len(set(whole)) == len(whole)
        first[whole[0]] += 1
    assert set(first) == branches
    assert max(first.values()) < 3 * 300 / len(branches)
    again = [drawn(credits_, 100, np.random.default_rng(7)) for _ in range(2)]
    assert [row.tokens.tolist() for row in again[0]] == [row.tokens.tolist() for row in again[1]]


def test_a_branch_too_long_is_cut_behind_its_first_trained_tokens(gardener: Any, small_llama: Any) -> None:
    gardener.tokens = (30, 30)
    tree = gardener.plant()
    gardener.play(tree, True, turns=3)
    gardener.play(tree, False, turns=3)
    credits_ = credit([tree])
    kernel = LogprobKernel(small_llama())
    for tokens, length in ((1, 30 + LEAST), (100, 100)):
        (row,) = drawn(credits_, tokens, np.random.default_rng(0))
        (whole,) = drawn(credits_, 180, np.random.default_rng(0))
        assert (len(row), len(whole)) == (length, 180)
        with torch.no_grad():
            found, expected = (kernel(stack([each], chains=True)) for each in (row, whole))
        assert len(found) == {1: LEAST, 100: 30 + 10}[tokens]
        assert torch.allclose(found, expected[: len(found)], atol=1e-5)


def test_where_nothing_is_trained_nothing_is_drawn(gardener: Any) -> None:
    gardener.play(gardener.plant(), True)
    assert drawn(credit(gardener.trees), 100, np.random.default_rng(0)) == []


@pytest.mark.parametrize("minibatches", [1, 2])
@pytest.mark.parametrize("old", ["recompute", "behaviour"])
def test_one_pass_is_enough_to_be_seen(gardeners: Any, small_llama: Any, minibatches: int, old: Any) -> None:
    """Every ratio of a single pass may be one: what moves the policy comes after it."""
    found = {}
    for lr in (0.0, 1e-4, 0.5):
        config = TrainConfig(lr=lr, epochs=1, minibatches=minibatches, old_logprobs=old)
        trainer = Trainer(small_llama(), config)
        state = torch.get_rng_state()
        found[lr] = trainer.update(grove(gardeners).forest())
        assert torch.equal(torch.get_rng_state(), state)
    assert found[0.0]["update_kl"] == 0.0
    assert 0.0 < found[1e-4]["update_kl"] < 1e-2
    dogs = Watchdogs(WatchConfig(**dict.fromkeys(WATCHES, "off") | {"kl": "warn"}))  # type: ignore[arg-type]
    heard = [dogs.look({f"train/{k}": v for k, v in metrics.items()}) for metrics in found.values()]
    assert [len(alarms) for alarms in heard] == [0, 0, 1]
