"""A predictor of success that learns from few rollouts: Bayesian logistic regression on the hidden state.

The policy's hidden states are reduced to their principal components; beside them stand the checks and the
task's record. The prior's width is the one under which the outcomes seen are likeliest, so a head that has
nothing to tell says the base rate, and Laplace's approximation says how sure each prediction is. At the root
of a task what was seen there is added as to a Beta. Expected turns and tokens come from a ridge regression on
the same features. Leaves out what is common to learned predictors (`head`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.special import expit

from trace_gym.core.predictor import Prediction, Prefix
from trace_gym.core.targets import played, prefixes, taught
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.model.threads import one_thread_of_blas
from trace_gym.train.features import PLAIN
from trace_gym.train.head import Array, Head, kind_of, packed, unpacked

Matrix: TypeAlias = NDArray[np.float64]

WIDTHS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Standard deviations that a coefficient of a standardised feature may have a priori."""
ROUNDS = 25
"""Newton's method needs about six."""
PREFIX_SHARE = 2.0
"""The labels of other prefixes together count at most so many times those of roots: they are many, and those
of one rollout say the same."""
RIDGE = 4.0
"""What a coefficient of the cost is held back by, in rollouts."""
LEAST = 0.5
"""The least concentration of a prediction."""


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Labelled prefixes of one step: features (N, F), `outcome` (N,), and `cost` (N, 2), the logarithms of
    the turns and tokens that were still played."""

    features: Array
    outcome: Matrix
    cost: Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What was learnt: how features are standardised (F,) and reduced, `basis` (D, R), the coefficients' mean
    (C,) and covariance (C, C), and those of the cost (C, 2)."""

    centre: Matrix
    scale: Matrix
    basis: Matrix
    mean: Matrix
    covariance: Matrix
    cost: Matrix

    def success(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """(chance of success, how many observations that is worth), (N,) each, of the rows of a design."""
        variance = ((x @ self.covariance) * x).sum(axis=1)
        chance = expit(x @ self.mean / np.sqrt(1.0 + math.pi * variance / 8.0)).clip(0.01, 0.99)
        return chance, 1.0 / np.maximum(chance * (1.0 - chance) * variance, 1e-6)


class BayesHead(Head):
    """Implements core's Predictor; learns from the own outcome of every rollout at the prefixes it played.

    It remembers `memory` steps, each counting `decay` times the one after it, and keeps `rank` principal
    components. The concentration joins its own uncertainty and what `Calibration` says of past predictions.
    """

    def __init__(
        self, *, rank: int = 48, memory: int = 8, decay: float = 0.85, verdicts: bool = True
    ) -> None:
        for name, value in {"rank": rank, "memory": memory}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0.0 < decay <= 1.0:
            raise ValueError(f"decay must lie in (0, 1], got {decay}")
        super().__init__(verdicts=verdicts)
        self._rank, self._memory, self._decay = rank, memory, decay
        self._lessons: list[Lessons] = []
        self._posterior: Posterior | None = None

    def predict(self, prefixes: Sequence[Prefix]) -> list[Prediction]:
        """Means within [0.01, 0.99]; without anything learnt, the base rate."""
        if not prefixes:
            return []
        past = {kind: calibration.concentration() for kind, calibration in self._calibration.items()}
        sure = np.array([past[kind_of(prefix)] for prefix in prefixes])
        chance = np.full(len(prefixes), self._records.base)
        cost: list[tuple[float, float] | tuple[None, None]] = [(None, None)] * len(prefixes)
        learnt = self._posterior
        if learnt is not None:
            with one_thread_of_blas():  # what is multiplied is too small to be shared out
                x = _design(self._features(prefixes), learnt.centre, learnt.scale, learnt.basis)
                chance, worth = learnt.success(x)
                cost = [(turns, tokens) for turns, tokens in np.exp(x @ learnt.cost).tolist()]
            sure = np.maximum(LEAST, 1.0 / (1.0 / worth + 1.0 / sure))
        chance, sure = self._with_seen(prefixes, chance, sure)
        said = zip(chance.tolist(), sure.tolist(), cost, strict=True)
        return [Prediction(mean, worth, tokens, turns) for mean, worth, (turns, tokens) in said]

    def state_dict(self) -> dict[str, Any]:
        """Lessons and what was learnt from them, records and calibration, as JSON data; arrays exactly."""
        learnt = () if self._posterior is None else astuple(self._posterior)
        return super().state_dict() | {
            "lessons": [[packed(x) for x in (ls.features, ls.outcome, ls.cost)] for ls in self._lessons],
            "posterior": [packed(array) for array in learnt],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood."""
        super().load_state_dict(state)
        self._lessons = [Lessons(*map(unpacked, parts)) for parts in state["lessons"]]
        self._posterior = Posterior(*map(unpacked, state["posterior"])) if state["posterior"] else None

    def _with_seen(self, prefixes: Sequence[Prefix], chance: Matrix, sure: Matrix) -> tuple[Matrix, Matrix]:
        """Chances and concentrations (N,), with what was seen of a task itself at its root."""
        known = [(0.0, 0.0) if prefix.depth else self._records.of(prefix.task) for prefix in prefixes]
        won, seen = np.array(known).T
        return (chance * sure + won) / (sure + seen), sure + seen

    def _forget(self) -> None:
        self._lessons, self._posterior = [], None

    def _study(self, forest: Forest) -> dict[str, float]:
        """`labels`, the prior's `width`, and the `evidence` for it in nats."""
        self._lessons = [*self._lessons, self._lessons_of(forest)][-self._memory :]
        self._record(forest)
        labels = sum(len(lessons.outcome) for lessons in self._lessons)
        with one_thread_of_blas():  # what is multiplied is too small to be shared out
            return {"labels": float(labels)} | (self._fit() if labels else {})

    def _lessons_of(self, forest: Forest) -> Lessons:
        asked: list[Prefix] = []
        told: list[tuple[float, float, float]] = []
        for tree in forest.trees:
            labels = _labels(tree)
            asked += prefixes(tree, [node for node, _ in labels])
            told += [label for _, label in labels]
        table = np.array(told, dtype=np.float64).reshape(-1, 3)
        return Lessons(self._features(asked), table[:, 0], np.log(np.maximum(table[:, 1:], 1.0)))

    def _fit(self) -> dict[str, float]:
        features = np.concatenate([lessons.features for lessons in self._lessons]).astype(np.float64)
        outcome = np.concatenate([lessons.outcome for lessons in self._lessons])
        cost = np.concatenate([lessons.cost for lessons in self._lessons])
        weight = self._weights(features)
        centre, spread = features.mean(axis=0), features.std(axis=0)
        scale = np.where(spread > 1e-4, spread, 1.0)
        basis = _basis(_standardised(features, centre, scale)[:, PLAIN + 1 :], weight, self._rank)
        x = _design(features, centre, scale, basis)
        found: dict[float, tuple[Matrix, Matrix, float]] = {}
        start = np.zeros(x.shape[1])
        for width in WIDTHS:  # each begins where the one before, a little narrower, ended
            found[width] = _logistic(x, outcome, weight, width, start=start)
            start = found[width][0]
        width = max(found, key=lambda each: found[each][2])
        mean, covariance, evidence = found[width]
        weighed = x * weight[:, None]
        ridge = RIDGE * np.eye(x.shape[1])
        ridge[0, 0] = 1e-6
        priced = np.ascontiguousarray(np.linalg.solve(weighed.T @ x + ridge, weighed.T @ cost))
        self._posterior = Posterior(centre, scale, basis, mean, covariance, priced)
        return {"width": width, "evidence": evidence}

    def _weights(self, features: Matrix) -> Matrix:
        """What each label counts: less with age, and less among many of other prefixes."""
        ages = [np.full(len(ls.outcome), age) for age, ls in enumerate(reversed(self._lessons))]
        weight: Matrix = self._decay ** np.concatenate(ages[::-1])
        root = features[:, 0] > 0.5
        few, many = weight[root].sum(), weight[~root].sum()
        if few and many:
            weight = np.where(root, weight, weight * min(1.0, PREFIX_SHARE * few / many))
        return weight


def _labels(tree: RolloutTree) -> list[tuple[int, tuple[float, float, float]]]:
    """(node, (outcome, turns left, tokens left)) of every known rollout, at nodes where play could go on."""
    values, ends = tree.values(), tree.leaves()
    found: list[tuple[int, tuple[float, float, float]]] = []
    for tip, rollout in ends.items():
        if tip not in values:
            continue
        path = played(tree, rollout)
        left = 0
        known = set(taught(tree, rollout))
        for turns, (node, after) in enumerate(zip(path[-2::-1], path[:0:-1], strict=True), start=1):
            left += tree.turns[after].cost.decoded
            if node not in ends and node in known:
                found.append((node, (values[tip], float(turns), float(left))))
    return found


def _standardised(features: Array | Matrix, centre: Matrix, scale: Matrix) -> Matrix:
    return np.asarray(((features - centre) / scale).clip(-5.0, 5.0))


def _design(features: Array | Matrix, centre: Matrix, scale: Matrix, basis: Matrix) -> Matrix:
    """Rows (N, C): one, the plain features, the hidden state's components."""
    plain, hidden = np.split(_standardised(features, centre, scale), [PLAIN + 1], axis=1)
    return np.concatenate([np.ones((len(plain), 1)), plain, hidden @ basis], axis=1)


def _basis(hidden: Matrix, weight: Matrix, rank: int) -> Matrix:
    """The first principal components (D, R) of weighted rows (N, D), as many as there are."""
    size = hidden.shape[1]
    if not size:
        return np.zeros((0, 0))
    first = max(0, size - rank)
    values, vectors = eigh((hidden * weight[:, None]).T @ hidden, subset_by_index=(first, size - 1))
    return np.ascontiguousarray(vectors[:, values > 1e-9 * max(values[-1], 1e-12)])


def _logistic(
    x: Matrix, y: Matrix, weight: Matrix, width: float, *, start: Matrix
) -> tuple[Matrix, Matrix, float]:
    """Laplace's approximation: mean (C,), covariance (C, C), and log evidence in nats, of coefficients that
    are normal with deviation `width` a priori; the first is a constant, of deviation two. Newton's method
    begins at `start` (C,)."""
    precision = np.full(x.shape[1], width**-2)
    precision[0] = 0.25
    mean, bent = start, np.empty_like(x)
    for _ in range(ROUNDS):
        chance = expit(x @ mean)
        np.multiply(x, (weight * chance * (1.0 - chance))[:, None], out=bent)
        factor = cho_factor(bent.T @ x + np.diag(precision))
        move = cho_solve(factor, x.T @ (weight * (y - chance)) - precision * mean)
        mean = mean + move
        if np.abs(move).max() < 1e-4:  # what is left is the square of that
            break
    logits = x @ mean
    likelihood = (weight * (y * logits - np.logaddexp(0.0, logits))).sum()
    prior = 0.5 * (np.log(precision).sum() - (precision * mean * mean).sum())
    volume = np.log(np.diag(factor[0])).sum()
    covariance = np.ascontiguousarray(cho_solve(factor, np.eye(len(mean))))
    return mean, covariance, float(likelihood + prior - volume)
