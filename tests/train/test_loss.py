"""Losses: values and gradients by hand."""

from __future__ import annotations

import math

import pytest
import torch

from trace_gym.core.errors import UnknownName
from trace_gym.train.loss import (
    LOSSES,
    Clip,
    Diagnostics,
    Tokens,
    cispo,
    clipped,
    diagnose,
    dppo,
    kl_penalty,
    loss_named,
    replayed,
)


def tokens(ratios: list[float], plus: list[float], minus: list[float]) -> Tokens:
    logprobs = torch.tensor([math.log(r) for r in ratios], dtype=torch.float64, requires_grad=True)
    old = torch.zeros(len(ratios), dtype=torch.float64)
    return Tokens(logprobs, old, *(torch.tensor(x, dtype=torch.float64) for x in (plus, minus)))


CASES = [
    # ratio, A+, A-, value, gradient with respect to log pi (low .2, high .28)
    (1.0, 1.0, 0.0, 1.0, 1.0),
    (1.0, 0.5, -0.5, 0.0, 0.0),
    (1.2, 1.0, 0.0, 1.2, 1.2),
    (1.5, 1.0, 0.0, 1.28, 0.0),
    (0.5, 1.0, 0.0, 0.5, 0.5),
    (0.5, 0.0, -1.0, -0.8, 0.0),
    (1.5, 0.0, -1.0, -1.5, -1.5),
    (1.5, 2.0, -1.0, 2 * 1.28 - 1.5, -1.5),
    (0.5, 2.0, -1.0, 2 * 0.5 - 0.8, 1.0),
]


@pytest.mark.parametrize(("ratio", "plus", "minus", "value", "gradient"), CASES)
def test_clipped_by_hand(ratio: float, plus: float, minus: float, value: float, gradient: float) -> None:
    made = tokens([ratio], [plus], [minus])
    out = clipped(made, LOSSES["dapo"].clip)
    assert out.item() == pytest.approx(value)
    (slope,) = torch.autograd.grad(out.sum(), made.logprobs)
    assert slope.item() == pytest.approx(gradient)


def test_dual_clip_bounds_what_a_failure_pulls() -> None:
    made = tokens([2.0, 5.0], [0.0, 0.0], [-1.0, -1.0])
    out = clipped(made, Clip(0.2, 0.2, dual=3.0))
    assert out.tolist() == pytest.approx([-2.0, -3.0])
    (slope,) = torch.autograd.grad(out.sum(), made.logprobs)
    assert slope.tolist() == pytest.approx([-2.0, 0.0])


CISPO = [
    # ratio, A+, A-, clipped ratio = gradient / (A+ + A-), under [0, 5]
    (1.0, 1.0, 0.0, 1.0),
    (4.0, 1.0, -3.0, 4.0),
    (7.0, 1.0, 0.0, 5.0),
    (7.0, 0.0, -1.0, 5.0),
    (0.1, 0.0, -2.0, 0.1),
]


@pytest.mark.parametrize(("ratio", "plus", "minus", "bounded"), CISPO)
def test_cispo_by_hand(ratio: float, plus: float, minus: float, bounded: float) -> None:
    made = tokens([ratio], [plus], [minus])
    out = cispo(made, LOSSES["cispo"].clip)
    assert out.item() == pytest.approx(bounded * (plus + minus) * math.log(ratio))
    (slope,) = torch.autograd.grad(out.sum(), made.logprobs)
    assert slope.item() == pytest.approx(bounded * (plus + minus))


DPPO = [
    # pi, old, mu, A+, A-, value = gradient
    (0.5, 0.25, 0.35, 1.0, 0.0, 2.0),
    (0.5, 0.25, 0.25, 1.0, 0.0, 0.0),
    (0.5, 0.25, 0.25, 0.0, -1.0, -2.0),
    (0.1, 0.25, 0.25, 0.0, -1.0, -0.4),
    (0.1, 0.25, 0.35, 0.0, -1.0, 0.0),
    (0.1, 0.25, 0.35, 1.0, -1.0, 0.4),
    (0.004, 0.001, 0.001, 1.0, 0.0, 4.0),
]
"""The last: a rare token four times as likely as before is no divergence."""


@pytest.mark.parametrize(("pi", "old", "mu", "plus", "minus", "value"), DPPO)
def test_dppo_by_hand(pi: float, old: float, mu: float, plus: float, minus: float, value: float) -> None:
    stream = {
        name: torch.tensor([number], dtype=torch.float64)
        for name, number in (("old", math.log(old)), ("plus", plus), ("minus", minus))
    }
    logprobs = torch.tensor([math.log(pi)], dtype=torch.float64, requires_grad=True)
    sampler = torch.tensor([math.log(mu)], dtype=torch.float64)
    out = dppo(Tokens(logprobs, **stream, behaviour=sampler), LOSSES["dppo"].clip)
    assert out.item() == pytest.approx(value)
    (slope,) = torch.autograd.grad(out.sum(), logprobs)
    assert slope.item() == pytest.approx(value)


def test_dppo_without_a_sampler_takes_the_policy_before_the_update() -> None:
    made = tokens([1.0, 0.7], [1.0, 0.0], [0.0, -1.0])
    assert dppo(made, Clip(0.2, 0.2)).tolist() == pytest.approx([1.0, 0.0])


def test_replayed_coefficients_are_gradients() -> None:
    made = tokens([3.0, 0.1], [2.0, 0.5], [-0.5, -1.0])
    out = replayed(made, Clip())
    assert out.tolist() == pytest.approx([1.5, -0.5])
    (slope,) = torch.autograd.grad(out.sum(), made.logprobs)
    assert slope.tolist() == pytest.approx([1.5, -0.5])


def test_trust_regions_by_name() -> None:
    assert LOSSES["ppo"].clip == Clip(0.2, 0.2)
    assert LOSSES["dapo"].clip == Clip(0.2, 0.28)
    assert [loss_named(name).per for name in ("ppo", "dapo", "drgrpo")] == ["token", "token", "length"]
    with pytest.raises(UnknownName, match="did you mean 'dapo'"):
        loss_named("dap")


@pytest.mark.parametrize("bad", [{"low": -0.1}, {"low": 1.1}, {"high": -1.0}, {"dual": 1.0}])
def test_bad_clips_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="clip"):
        Clip(**bad)


def test_diagnostics_by_hand() -> None:
    made = tokens([1.0, 2.0, 0.5, 2.0, 0.5], [1.0, 1.0, 0.0, 1.0, 1.0], [0.0, 0.0, -1.0, -1.0, 0.0])
    found = diagnose(made, Clip(0.2, 0.2))
    assert found.tokens == 5
    assert found.clipped == 2
    metrics = found.metrics()
    assert metrics["clip_share"] == pytest.approx(0.4)
    assert metrics["ratio_mean"] == pytest.approx(6.0 / 5)
    assert metrics["ratio_max"] == pytest.approx(2.0)
    k3 = 2 * (2 - 1 - math.log(2)) + 2 * (0.5 - 1 - math.log(0.5))
    assert metrics["approx_kl"] == pytest.approx(k3 / 5)


def test_clip_share_counts_exactly_the_tokens_without_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    ratios = (torch.rand(400, generator=generator) * 3 + 0.1).tolist()
    plus = [max(0.0, x) for x in (torch.rand(400, generator=generator) - 0.4).tolist()]
    minus = [min(0.0, x) for x in (torch.rand(400, generator=generator) - 0.6).tolist()]
    for clip in (Clip(0.2, 0.28), Clip(0.3, 0.1, dual=2.0)):
        made = tokens(ratios, plus, minus)
        (slope,) = torch.autograd.grad(clipped(made, clip).sum(), made.logprobs)
        active = [bool(p or m) for p, m in zip(plus, minus, strict=True)]
        still = sum(on and s == 0.0 for on, s in zip(active, slope.tolist(), strict=True))
        assert still > 0
        assert diagnose(made, clip).clipped == still


def test_cispo_stops_no_token() -> None:
    assert diagnose(tokens([9.0, 0.01], [1.0, 0.0], [0.0, -1.0]), Clip(1.0, 4.0), cispo).clipped == 0


def test_diagnostics_add_up() -> None:
    whole = tokens([0.7, 1.1, 1.9], [1.0, 0.0, 1.0], [0.0, -1.0, 0.0])
    parts = [tokens([0.7], [1.0], [0.0]), tokens([1.1, 1.9], [0.0, 1.0], [-1.0, 0.0])]
    added = sum((diagnose(part, Clip()) for part in parts), Diagnostics())
    assert added.metrics() == pytest.approx(diagnose(whole, Clip()).metrics())


def test_kl_penalty_has_the_value_of_k3_and_the_gradient_of_k2() -> None:
    logprobs = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-1.5, -1.2], dtype=torch.float64)
    value = kl_penalty(logprobs, reference)
    difference = [0.5, -0.8]
    assert value.tolist() == pytest.approx([math.exp(-d) - 1 + d for d in difference])
    (slope,) = torch.autograd.grad(value.sum(), logprobs)
    assert slope.tolist() == pytest.approx(difference)
