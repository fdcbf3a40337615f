"""FlexAttention's tiles: against torch's own construction from a full mask, and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask
from torch.nn.functional import scaled_dot_product_attention

from trace_gym.train.attention import tree_mask
from trace_gym.train.credit import credit
from trace_gym.train.flex import FlexPlan, block_mask, tiles
from trace_gym.train.pack import Layout, pack


def packed_end(gardeners: Any, seed: int, *, trees: int = 3) -> torch.Tensor:
    garden = gardeners(seed, tokens=(1, 12))
    for _ in range(trees):
        garden.wild()
    (batch,), _ = pack(credit(garden.trees), Layout())
    end: torch.Tensor = batch.end
    return end


def test_tiles_by_hand() -> None:
    """Tokens 0-1 are shared by 2-3 and 4-5; 6 is a tree of its own, 7 lies behind the row."""
    end = torch.tensor([[6, 6, 4, 4, 6, 6, 7]])
    part, whole = tiles(end, size=2)
    assert part[0].int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert whole[0].int().tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [4, 16, 128])
def test_tiles_are_those_of_the_full_mask(gardeners: Any, seed: int, size: int) -> None:
    end = packed_end(gardeners, seed)
    length = end.shape[1]
    made = block_mask(end, size=size)
    expected = create_block_mask(made.mask_mod, 1, 1, length, length, device="cpu", BLOCK_SIZE=size)
    for name in ("kv_num_blocks", "full_kv_num_blocks"):
        assert torch.equal(getattr(made, name), getattr(expected, name))
    for index, count in (("kv_indices", "kv_num_blocks"), ("full_kv_indices", "full_kv_num_blocks")):
        first = torch.arange(getattr(made, index).shape[-1]) < getattr(made, count)[..., None]
        assert torch.equal(getattr(made, index)[first], getattr(expected, index)[first])


def test_the_mask_is_the_trees(gardeners: Any) -> None:
    end = packed_end(gardeners, 0)
    index = torch.arange(end.shape[1])
    zero = torch.zeros((), dtype=torch.int64)
    sees = block_mask(end).mask_mod
    assert torch.equal(sees(zero, zero, index[:, None], index[None, :]), tree_mask(end)[0, 0])


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_compiled_forward_equals_sdpa_at_every_length(gardeners: Any) -> None:
    """On the CPU too there is a compiled forward pass: grouped heads, several tiles, lengths that change."""
    for seed, trees in ((0, 3), (1, 5), (2, 4)):
        end = packed_end(gardeners, seed, trees=trees)
        length = end.shape[1]
        generator = torch.Generator().manual_seed(seed)
        query, key, value = (torch.randn(1, n, length, 16, generator=generator) for n in (4, 2, 2))
        with torch.no_grad():
            found = FlexPlan.of(end).attend(query, key, value, 0.3)
        expected = scaled_dot_product_attention(
            query, key, value, attn_mask=tree_mask(end), scale=0.3, enable_gqa=True
        )
        assert length > 128
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
