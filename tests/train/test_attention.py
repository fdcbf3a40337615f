"""Block attention against the dense mask, and the masks by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trace_gym.train.attention import dense, plan, planned, tree_attention, tree_mask
from trace_gym.train.credit import credit
from trace_gym.train.pack import Layout, pack


def test_mask_by_hand() -> None:
    """0 and 1 are shared; 2 is one branch, 3 the other."""
    mask = tree_mask(torch.tensor([[4, 4, 3, 4]]))[0, 0]
    assert mask.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]


def test_plan_by_hand() -> None:
    """Blocks of two over the same tree and a second one of a single token behind it."""
    first, second, third = plan(torch.tensor([4, 4, 3, 4, 5]), dtype=torch.float32, block=2)
    assert (first.start, first.stop, first.keys.tolist()) == (0, 2, [0, 1])
    assert (second.start, second.stop, second.keys.tolist()) == (2, 4, [0, 1, 2, 3])
    assert (third.start, third.stop, third.keys.tolist()) == (4, 5, [4])
    never = -torch.inf
    assert first.mask.tolist() == [[0, never], [0, 0]]
    assert second.mask.tolist() == [[0, 0, 0, never], [0, 0, never, 0]]
    assert third.mask.tolist() == [[0]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [1, 7, 128])
@pytest.mark.parametrize("shared", [1, 3])
def test_blocks_equal_the_dense_mask(gardeners: Any, seed: int, block: int, shared: int) -> None:
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
    masks = (
        dense(batch.end, dtype=torch.float64),
        planned(batch.end, dtype=torch.float64, block=block),
    )
    module = torch.nn.Module()
    module.num_key_value_groups = shared  # type: ignore[assignment]
    found = []
    for mask in masks:
        out, _ = tree_attention(module, *states, mask, scaling=0.5)
        found.append((out, *torch.autograd.grad((out * weight).sum(), states)))
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-11, atol=1e-12)


def test_fewer_keys_are_computed_than_there_are(gardener: Any) -> None:
    gardener.wild(roots=6, forks=20, turns=8)
    (batch,), _ = pack(credit(gardener.trees), Layout())
    blocks = plan(batch.end[0], dtype=torch.float32, block=16)
    length = batch.token_ids.shape[1]
    assert sum((b.stop - b.start) * len(b.keys) for b in blocks) < 0.25 * length**2
