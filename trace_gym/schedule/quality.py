"""How good predictions are: Brier score, ranking and calibration, against what is known without a model.

Everything is measured on a step before anybody learns from it, and on rollouts that were played to their
end: what is learnt from one that was cut is the predictor's own word, by which it would always be right. Of
the hopeless those are the spared alone, and they count once each, for a tree does not know how rare they are:
where rollouts are cut, hopeless prefixes weigh less than they occur. Leaves out the predictors, and what to
do with a bad one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from trace_gym.core.predictor import Predictor
from trace_gym.core.targets import played_out, prefixes
from trace_gym.core.tree import Forest


@dataclass(frozen=True, slots=True)
class Sample:
    """One prediction and what came of it: V~ at a depth (0: the root) of a bare rollout, and its outcome."""

    task: str
    depth: int
    predicted: float
    outcome: float


def bare_samples(forest: Forest, predictor: Predictor) -> list[Sample]:
    """One sample for every label of `played_out`."""
    samples: list[Sample] = []
    for tree in forest.trees:
        labels = played_out(tree)
        nodes = sorted({node for node, _ in labels})
        asked = prefixes(tree, nodes)
        predicted = {
            node: (prefix.depth, prediction.mean)
            for node, prefix, prediction in zip(nodes, asked, predictor.predict(asked), strict=True)
        }
        samples += [Sample(tree.task.key, *predicted[node], outcome) for node, outcome in labels]
    return samples


def brier(predicted: ArrayLike, outcome: ArrayLike) -> float:
    """Mean squared error of probabilities (n,) against outcomes (n,) in {0, 1}."""
    error = np.asarray(predicted, dtype=np.float64) - np.asarray(outcome, dtype=np.float64)
    return float(np.mean(error**2))


def auc(predicted: ArrayLike, outcome: ArrayLike) -> float | None:
    """P(a success is ranked above a failure), ties counting half; None unless both occur."""
    won = np.asarray(outcome, dtype=np.float64) > 0.5
    wins, losses = int(won.sum()), int((~won).sum())
    if not wins or not losses:
        return None
    above = float(rankdata(np.asarray(predicted))[won].sum()) - wins * (wins + 1) / 2
    return above / (wins * losses)


def calibration_error(predicted: ArrayLike, outcome: ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error: |mean prediction - success rate| in equal bins of [0, 1], by share."""
    p, r = np.asarray(predicted, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    place = np.minimum((p * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(place, weights=p - r, minlength=bins)).sum() / len(p))


class PredictionQuality:
    """A predictor step by step, for roots and for prefixes (depth >= 1) apart, against two baselines.

    `constant`: the mean outcome of all earlier samples of that kind (1/2 before the first). `counts`: the
    task's own success rate over its earlier bare rollouts, with the constant as a prior worth `prior`
    rollouts. State: the running sums of both.
    """

    def __init__(self, *, prior: float = 2.0, bins: int = 10) -> None:
        if prior <= 0.0:
            raise ValueError(f"prior must be positive, got {prior}")
        if bins < 1:
            raise ValueError(f"bins must be at least 1, got {bins}")
        self._prior = prior
        self._bins = bins
        self._seen: Counter[str] = Counter()
        self._won: Counter[str] = Counter()
        self._task_seen: Counter[str] = Counter()
        self._task_won: Counter[str] = Counter()

    def measure(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Measure a step's samples, then take them into the baselines.

        For `root` and `prefix` each: `brier_KIND`, `brier_KIND_constant`, `brier_KIND_counts`, `auc_KIND`,
        `ece_KIND`; `auc_depth_D` for every depth; `brier_unseen` and `brier_unseen_constant` at the roots of
        tasks that were never played before. What cannot be measured is left out.
        """
        kinds = {
            "root": [sample for sample in samples if sample.depth == 0],
            "prefix": [sample for sample in samples if sample.depth > 0],
        }
        metrics: dict[str, float] = {}
        for kind, these in kinds.items():
            if these:
                metrics |= self._measure(kind, these)
        unseen = [sample for sample in kinds["root"] if not self._task_seen[sample.task]]
        if unseen:
            constant = self._won["root"] / self._seen["root"] if self._seen["root"] else 0.5
            outcomes = [sample.outcome for sample in unseen]
            metrics["brier_unseen"] = brier([sample.predicted for sample in unseen], outcomes)
            metrics["brier_unseen_constant"] = brier(constant, outcomes)
        for depth in sorted({sample.depth for sample in samples}):
            metrics |= _auc(f"auc_depth_{depth}", [sample for sample in samples if sample.depth == depth])
        for kind, these in kinds.items():
            self._seen[kind] += len(these)
            self._won[kind] += sum(sample.outcome > 0.5 for sample in these)
        for sample in kinds["root"]:
            self._task_seen[sample.task] += 1
            self._task_won[sample.task] += sample.outcome > 0.5
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """The running sums, as JSON data."""
        return {
            "seen": dict(self._seen),
            "won": dict(self._won),
            "task_seen": dict(self._task_seen),
            "task_won": dict(self._task_won),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood."""
        self._seen, self._won = Counter(state["seen"]), Counter(state["won"])
        self._task_seen, self._task_won = Counter(state["task_seen"]), Counter(state["task_won"])

    def _measure(self, kind: str, samples: Sequence[Sample]) -> dict[str, float]:
        constant = self._won[kind] / self._seen[kind] if self._seen[kind] else 0.5
        counts = [
            (self._task_won[s.task] + self._prior * constant) / (self._task_seen[s.task] + self._prior)
            for s in samples
        ]
        predicted = [sample.predicted for sample in samples]
        outcome = [sample.outcome for sample in samples]
        return {
            f"brier_{kind}": brier(predicted, outcome),
            f"brier_{kind}_constant": brier(constant, outcome),
            f"brier_{kind}_counts": brier(counts, outcome),
            f"ece_{kind}": calibration_error(predicted, outcome, bins=self._bins),
            **_auc(f"auc_{kind}", samples),
        }


def _auc(name: str, samples: Sequence[Sample]) -> dict[str, float]:
    value = auc([sample.predicted for sample in samples], [sample.outcome for sample in samples])
    return {} if value is None else {name: value}
