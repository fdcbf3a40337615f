"""Draws: golden values by hand, and the distribution they come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trace_gym.model.draw import Draws, draw, uniforms


def drawn(p: list[float], *, u: list[float], temperature: float = 1.0, top_p: float = 1.0) -> Draws:
    """Draw from probabilities `p` at every point of `u`."""
    logits = torch.tensor(p).log().expand(len(u), -1)
    return draw(
        logits,
        uniform=np.array(u),
        temperature=np.full(len(u), temperature),
        top_p=np.full(len(u), top_p),
    )


def test_uniforms_are_splitmix64() -> None:
    """The first outputs of SplitMix64 from state 0, as its authors' program prints them: 0 mixes to 0."""
    known = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    found = uniforms(np.zeros(3, dtype=np.uint64), np.arange(3, dtype=np.uint64))
    assert found.tolist() == [(value >> 12) / 2**52 for value in known]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**20))
def test_uniforms_lie_in_the_unit_interval_whatever_the_seed(seed: int, step: int) -> None:
    (u,) = uniforms(np.array([seed], dtype=np.uint64), np.array([step], dtype=np.uint64))
    assert 0.0 <= u < 1.0


def test_neighbouring_seeds_and_steps_are_uniform_and_unrelated() -> None:
    seeds, steps = np.meshgrid(np.arange(200, dtype=np.uint64), np.arange(200, dtype=np.uint64))
    u = uniforms(seeds.ravel(), steps.ravel())
    counts, _ = np.histogram(u, bins=20, range=(0, 1))
    assert ((counts - 2000) ** 2 / 2000).sum() < 43.8  # chi-square, 19 degrees of freedom, 0.1 %
    grid = u.reshape(200, 200) - 0.5
    for shifted in (grid[1:] * grid[:-1], grid[:, 1:] * grid[:, :-1]):
        assert abs(shifted.mean()) < 4 / 12 / np.sqrt(shifted.size)


def test_the_cumulative_distribution_is_inverted() -> None:
    result = drawn([0.25, 0.5, 0.0, 0.25], u=[0.0, 0.2499, 0.2501, 0.7499, 0.7501, 1 - 2**-52])
    assert result.tokens.tolist() == [0, 0, 1, 1, 3, 3]
    assert result.logprobs.exp().tolist() == pytest.approx([0.25, 0.25, 0.5, 0.5, 0.25, 0.25])
    assert result.entropy.tolist() == pytest.approx([1.5 * np.log(2)] * 6)


def test_temperature_sharpens_what_is_drawn_from() -> None:
    result = drawn([0.2, 0.8], u=[0.05, 0.06], temperature=0.5)  # squares: 0.04 : 0.64
    assert result.tokens.tolist() == [0, 1]
    assert result.logprobs.exp().tolist() == pytest.approx([1 / 17, 16 / 17])


def test_temperature_zero_is_greedy_and_certain() -> None:
    result = drawn([0.3, 0.4, 0.3], u=[0.0, 0.99], temperature=0.0)
    assert result.tokens.tolist() == [1, 1]
    assert result.logprobs.tolist() == [0.0, 0.0]
    assert result.entropy.tolist() == [0.0, 0.0]


def test_top_p_keeps_the_smallest_sufficient_set() -> None:
    result = drawn([0.1, 0.5, 0.1, 0.3], u=[0.0, 0.62, 0.63, 0.99], top_p=0.7)  # keeps 0.5 and 0.3
    assert result.tokens.tolist() == [1, 1, 3, 3]
    assert result.logprobs.exp().tolist() == pytest.approx([0.625, 0.625, 0.375, 0.375])
    assert drawn([0.1, 0.5, 0.1, 0.3], u=[0.0, 0.99], top_p=1e-9).tokens.tolist() == [1, 1]


def test_every_row_has_its_own_temperature_and_top_p() -> None:
    logits = torch.tensor([0.1, 0.2, 0.7]).log().expand(4, -1)
    rows = draw(
        logits,
        uniform=np.array([0.05, 0.05, 0.05, 0.05]),
        temperature=np.array([1.0, 0.0, 1.0, 1.0]),
        top_p=np.array([1.0, 1.0, 0.85, 0.5]),
    )
    assert rows.tokens.tolist() == [0, 2, 1, 2]
    assert rows.logprobs.exp().tolist() == pytest.approx([0.1, 1.0, 2 / 9, 1.0])


def test_draws_follow_the_distribution() -> None:
    p = np.array([0.5, 0.25, 0.125, 0.0625, 0.0625])
    n = 20_000
    u = uniforms(np.arange(n, dtype=np.uint64), np.zeros(n, dtype=np.uint64))
    counts = np.bincount(drawn(p.tolist(), u=u.tolist()).tokens.numpy(), minlength=5)
    assert ((counts - n * p) ** 2 / (n * p)).sum() < 18.5  # chi-square, 4 degrees of freedom, 0.1 %


def test_impossible_tokens_are_never_drawn() -> None:
    logits = torch.full((3, 50), -torch.inf)
    logits[:, [7, 21]] = 0.0
    result = draw(
        logits,
        uniform=np.array([0.0, 0.5, 1 - 2**-52]),
        temperature=np.ones(3),
        top_p=np.ones(3),
    )
    assert result.tokens.tolist() == [7, 21, 21]
    assert result.entropy.tolist() == pytest.approx([np.log(2)] * 3)
