"""The Bayesian head: it learns from a handful of tasks, says how sure it is and what play will cost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm

from tests.train.test_value_head import DEPTH, World, brier
from trace_gym.core.budget import Cost
from trace_gym.core.episode import StopReason
from trace_gym.core.predictor import Prefix
from trace_gym.core.task import Limits
from trace_gym.core.tree import Forest
from trace_gym.train.bayes_head import BayesHead, _logistic


def prefix(task: str = "fake/x", *, depth: int = 0, **options: Any) -> Prefix:
    return Prefix(task, "fake", depth, Limits().max_turns, **options)


def likelihood(x: Any, y: Any, weight: Any, w: Any) -> float:
    logits = x @ w
    return float((weight * (y * logits - np.logaddexp(0.0, logits))).sum())


def test_the_posterior_is_where_an_optimiser_finds_it() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([np.ones((60, 1)), rng.normal(size=(60, 3))], axis=1)
    y = (rng.random(60) < 1 / (1 + np.exp(-x @ [0.3, 1.5, -0.7, 0.0]))).astype(float)
    weight = rng.uniform(0.2, 1.0, 60)
    deviations = np.array([2.0, 0.4, 0.4, 0.4])

    def loss(w: Any) -> float:
        return -likelihood(x, y, weight, w) + 0.5 * float(((w / deviations) ** 2).sum())

    best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
    mean, covariance, _ = _logistic(x, y, weight, 0.4, start=np.zeros(x.shape[1]))
    assert mean == pytest.approx(best.x, abs=1e-4)
    steps = 1e-3 * np.eye(4)
    curvature = np.array(
        [
            [
                (loss(mean + a + b) - loss(mean + a - b) - loss(mean - a + b) + loss(mean - a - b)) / 4e-6
                for b in steps
            ]
            for a in steps
        ]
    )
    assert np.linalg.inv(covariance) == pytest.approx(curvature, rel=1e-3, abs=1e-3)


def test_the_evidence_is_the_integral_over_the_prior() -> None:
    """One coefficient, which is the constant: its prior is normal with deviation two."""
    x, y, weight = np.ones((20, 1)), np.array([1.0] * 14 + [0.0] * 6), np.ones(20)

    def chance(w: float) -> float:
        return float(np.exp(likelihood(x, y, weight, np.array([w]))) * norm.pdf(w, scale=2.0))

    exact = np.log(quad(chance, -12, 12)[0])
    assert _logistic(x, y, weight, 0.4, start=np.zeros(x.shape[1]))[2] == pytest.approx(exact, abs=0.02)


def test_it_learns_from_a_single_step(gardeners: Any) -> None:
    """Where the value head has hardly moved."""
    world, head = World(gardeners), BayesHead()
    head.learn(world.forest(0, tasks=20))
    learnt, constant = brier(head, world.forest(99))
    assert learnt < 0.75 * constant
    easy, hard = head.predict([prefix(hidden=world.state(odds)) for odds in (4.0, -4.0)])
    assert easy.mean > 0.75
    assert hard.mean < 0.25


def test_states_that_tell_nothing_leave_the_base_rate(gardeners: Any) -> None:
    class Noise(World):
        def state(self, odds: float) -> Any:
            return super().state(float(self.rng.standard_normal()))

    world, head = Noise(gardeners), BayesHead()
    metrics = head.learn(world.forest(0))
    assert metrics["width"] <= 0.1
    said = [p.mean for p in head.predict([prefix(f"fake/{i}", hidden=world.state(0.0)) for i in range(50)])]
    assert np.std(said) < 0.08


def test_what_was_seen_at_the_root_of_a_task_is_added_as_to_a_beta(gardener: Any) -> None:
    """Three of four were won: the base rate is (3+1)/(4+2), worth the 8 observations of an unknown head."""
    tree = gardener.plant()
    for won in (True, True, True, False):
        gardener.play(tree, won, turns=DEPTH)
    head = BayesHead()
    head._record(gardener.forest())
    known, inside, new = head.predict(
        [prefix(tree.task.key), prefix(tree.task.key, depth=1), prefix("fake/new")]
    )
    assert (known.mean, known.concentration) == (pytest.approx((8 * 4 / 6 + 3) / 12), pytest.approx(12.0))
    assert (inside.mean, inside.concentration) == (pytest.approx(4 / 6), pytest.approx(8.0))
    assert new == inside


def test_it_says_what_play_will_cost(gardeners: Any) -> None:
    """Tasks whose state is positive take four turns of ten tokens, the others one of three."""
    rng, head = np.random.default_rng(0), BayesHead()
    world = World(gardeners)
    for step in range(3):
        garden = gardeners(step)
        for i in range(20):
            tree = garden.plant()
            tree.task = replace(tree.task, id=f"{step}-{i}")
            long = bool(rng.random() < 0.5)
            for _ in range(2):
                garden.play(tree, bool(rng.random() < 0.5), turns=4 if long else 1)
            world.colour(tree, 2.0 if long else -2.0)
            for node in range(1, len(tree.turns)):
                tokens = Cost(decoded=10 if long else 3)
                tree.turns[node] = replace(tree.turns[node], cost=tokens)
        head.learn(garden.forest(step))
    long_one, short = head.predict(
        [prefix(f"fake/{i}", hidden=world.state(o)) for i, o in enumerate((2, -2))]
    )
    assert 30 < (long_one.tokens or 0) < 50
    assert 3 < (long_one.turns or 0) < 5
    assert 2 < (short.tokens or 0) < 5
    assert (short.turns or 0) < 1.6


def test_it_resumes_exactly(gardeners: Any) -> None:
    world, head = World(gardeners), BayesHead(memory=2)
    for step in range(3):
        head.learn(world.forest(step))
    twin = BayesHead(memory=2)
    twin.load_state_dict(json.loads(json.dumps(head.state_dict())))
    asked = [prefix(f"fake/{i}", depth=i % 3, hidden=world.state(0.5 * i)) for i in range(9)]
    assert twin.predict(asked) == head.predict(asked)
    more = world.forest(3)
    assert twin.learn(more) == head.learn(more)
    assert twin.predict(asked) == head.predict(asked)


def test_before_anything_is_learnt_and_where_nothing_counts(gardener: Any) -> None:
    assert BayesHead().predict([]) == []
    assert BayesHead().predict([prefix()])[0].mean == 0.5
    for stop in (StopReason.CENSORED, StopReason.INVALID, StopReason.CANCELLED):
        gardener.play(gardener.plant(), False, turns=2, stop=stop)
    head = BayesHead()
    assert head.learn(gardener.forest())["labels"] == 0.0
    assert head.learn(Forest(1, []))["labels"] == 0.0
    assert head.predict([prefix()])[0].mean == 0.5


def test_a_hidden_state_of_another_size_starts_afresh(gardeners: Any) -> None:
    head = BayesHead()
    head.learn(World(gardeners).forest(0))
    world = World(gardeners, hidden=5)
    head.learn(world.forest(1))
    assert head.predict([prefix(hidden=world.state(3.0))])[0].mean > 0.6


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rank": 0}, "rank must be at least 1"), ({"memory": 0}, "memory must be"), ({"decay": 0.0}, "decay")],
)
def test_bad_numbers_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BayesHead(**options)
