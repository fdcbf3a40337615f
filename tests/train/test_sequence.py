"""Branches as wholes: means, factors and GSPO's coefficients by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from trace_gym.train.credit import Credit, credit
from trace_gym.train.loss import LOSSES, Clip
from trace_gym.train.pack import Layout, MicroBatch, pack
from trace_gym.train.sequence import Sequences, gspo


@pytest.fixture
def forked(gardener: Any) -> list[Credit]:
    """Root 0 -> 1 -> {2 (success), 3 (failure)}, and 0 -> 4 (failure); weights 1/4, 1/4, 1/2."""
    tree = gardener.plant()
    gardener.play(tree, True, turns=2)
    gardener.play(tree, False, turns=1, anchor=1)
    gardener.play(tree, False, turns=1)
    return credit([tree])


def by_node(batches: list[MicroBatch], values: dict[int, float]) -> list[torch.Tensor]:
    return [torch.tensor([values[node] for node in b.owner[:, 1].tolist()]) for b in batches]


@pytest.mark.parametrize("packed", [True, False])
def test_means_and_factors_by_hand(forked: list[Credit], packed: bool) -> None:
    batches, _ = pack(forked, Layout(packed=packed, keep_weighted=True, token_budget=12))
    sequences = Sequences.of(forked)
    size = [len(turn.action_ids) for turn in forked[0].tree.turns]
    values = {1: 1.0, 2: -2.0, 3: 4.0, 4: 7.0}
    expected = [
        (size[1] - 2 * size[2]) / (size[1] + size[2]),
        (size[1] + 4 * size[3]) / (size[1] + size[3]),
        7.0,
    ]
    assert len(sequences) == 3
    assert sequences.means(batches, by_node(batches, values)) == pytest.approx(expected)
    plus, minus = np.array([10.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0])
    totals: dict[int, list[float]] = {}
    for batch in batches:
        made = sequences.collapsed(batch, plus=plus, minus=minus)
        for node, up, down, weight in zip(
            batch.owner[:, 1].tolist(),
            made.plus.tolist(),
            made.minus.tolist(),
            made.weight.tolist(),
            strict=True,
        ):
            row = totals.setdefault(node, [0.0, 0.0, 0.0])
            row[:] = [row[0] + up / size[node], row[1] + down / size[node], row[2] + weight / size[node]]
    assert totals[1] == pytest.approx([10 * 1 / 6, -2 * 1 / 12, 1 / 2])
    assert totals[2] == pytest.approx([10 * 1 / 6, 0, 1 / 4])
    assert totals[3] == pytest.approx([0, -2 * 1 / 12, 1 / 4])
    assert totals[4] == pytest.approx([0, -3 * 1 / 6, 1 / 2])


def test_rejected_branches_leave_no_weight(forked: list[Credit]) -> None:
    batches, _ = pack(forked, Layout(keep_weighted=True))
    kept = Sequences.of(forked).kept(np.array([1.0, 0.0, 1.0]))
    (made,) = (kept.collapsed(b, plus=np.ones(3), minus=np.ones(3)) for b in batches)
    found = dict(zip(made.owner[:, 1].tolist(), made.weight.tolist(), strict=True))
    assert found == pytest.approx({1: 0.25, 2: 0.25, 3: 0.0, 4: 0.5})


def test_gspo_by_hand() -> None:
    s = [1.0, 1.0003, 1.0005, 0.9998, 0.9996]
    plus, minus = gspo(np.log(s), LOSSES["gspo"].clip)
    assert plus == pytest.approx([1.0, 1.0003, 0.0, 0.9998, 0.9996])
    assert minus == pytest.approx([1.0, 1.0003, 1.0005, 0.9998, 0.0])
    plus, minus = gspo(np.log([4.0, 2.0]), Clip(0.2, 0.2, dual=3.0))
    assert plus.tolist() == [0.0, 0.0]
    assert minus == pytest.approx([0.0, 2.0])
    assert math.isclose(float(gspo(np.zeros(1), Clip())[0][0]), 1.0)
