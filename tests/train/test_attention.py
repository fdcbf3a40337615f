"""Attention by chains against the dense mask, and masks and chains by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trace_gym.train.attention import dense, planned, tree_attention, tree_mask
from trace_gym.train.chains import Chain, chains_of
from trace_gym.train.credit import credit
from trace_gym.train.pack import Layout, pack


def test_mask_by_hand() -> None:
    """0 and 1 are shared; 2 is one branch, 3 the other."""
    mask = tree_mask(torch.tensor([[4, 4, 3, 4]]))[0, 0]
    assert mask.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]


def test_chains_by_hand() -> None:
    """0, 1 and 2 follow each other; 3 and 4 branch off at 1, 5 at 3; 6 is a tree of its own."""
    chains = chains_of(torch.tensor([6, 6, 3, 6, 5, 6, 7]))
    assert chains == (
        Chain((0, 3), ()),
        Chain((3, 5), ((0, 2),)),
        Chain((5, 6), ((0, 2), (3, 4))),
        Chain((6, 7), ()),
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shared", [1, 3])
def test_chains_equal_the_dense_mask(gardeners: Any, seed: int, shared: int) -> None:
    """Values and gradients, with as many key heads as query heads and with fewer."""
    garden = gardeners(seed)
    for _ in range(3):
        garden.wild()
    (batch,), _ = pack(credit(garden.trees), Layout())
    length = batch.token_ids.shape[1]
    generator = torch.Generator().manual_seed(seed)

    def heads(count: int) -> torch.Tensor:
        return torch.randn(1, count, length, 4, generator=generator, dtype=torch.float64, requires_grad=True)

    states = (heads(3), heads(3 // shared), heads(3 // shared))
    weight = torch.randn(1, length, 3, 4, generator=generator, dtype=torch.float64)
    masks = (dense(batch.end, dtype=torch.float64), planned(batch.end))
    module = torch.nn.Module()
    module.num_key_value_groups = shared  # type: ignore[assignment]
    found = []
    for mask in masks:
        out, _ = tree_attention(module, *states, mask, scaling=0.5)
        found.append((out, *torch.autograd.grad((out * weight).sum(), states)))
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_no_pair_is_computed_that_is_not_seen(gardeners: Any, seed: int) -> None:
    garden = gardeners(seed)
    garden.wild(roots=6, forks=20, turns=8)
    garden.wild()
    (batch,), _ = pack(credit(garden.trees), Layout())
    pairs = 0
    for chain in chains_of(batch.end[0]):
        own = chain.own[1] - chain.own[0]
        pairs += own * (own + 1) // 2 + own * sum(stop - start for start, stop in chain.above)
    assert pairs == int(tree_mask(batch.end).sum())
