"""Two predictors as one: a learned one and one that counts, each trusted as far as it has been right.

The mixture is w p + (1-w) q with the w in [0, 1] that would have had the least squared error on the bare
rollouts of recent steps that were not cut, for roots and for other prefixes apart: where the learned one is
worse than counts, w goes to 0 by itself, and the log says so. Leaves out the two predictors.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trace_gym.core.predictor import Prediction, Predictor, Prefix
from trace_gym.core.targets import played_out, prefixes
from trace_gym.core.tree import Forest
from trace_gym.schedule.quality import brier

log = logging.getLogger(__name__)
KINDS = ("root", "prefix")
QUIET = 0.2
"""A weight below this is worth a word in the log."""


@dataclass(slots=True)
class Record:
    """Faded sums over outcomes y, of predictions p (learned) and q (counts): `spread` = sum (p-q)^2 and
    `lean` = sum (y-q)(p-q), so that lean / spread is the best w; and of the squared errors of each, over
    `seen`."""

    spread: float = 0.0
    lean: float = 0.0
    learned: float = 0.0
    counts: float = 0.0
    seen: float = 0.0

    def fade(self, decay: float) -> None:
        """A step has passed."""
        self.spread, self.lean = self.spread * decay, self.lean * decay
        self.learned, self.counts, self.seen = self.learned * decay, self.counts * decay, self.seen * decay

    def add(self, p: float, q: float, y: float) -> None:
        """Both spoke, and this came of it."""
        self.spread += (p - q) ** 2
        self.lean += (y - q) * (p - q)
        self.learned += (y - p) ** 2
        self.counts += (y - q) ** 2
        self.seen += 1.0

    def weight(self, prior: float) -> float:
        """w: the optimum, with one half as a prior worth `prior` units of `spread`."""
        return min(1.0, max(0.0, (self.lean + 0.5 * prior) / (self.spread + prior)))


class Fusion:
    """A Predictor made of `learned` and `counts`. Records fade by `decay` a step. State: theirs and the
    records.

    The mean is the mixture's, the concentration that of the Beta with the mixture's variance, which
    disagreement raises; expected tokens and turns are averaged where both have them.
    """

    def __init__(
        self, learned: Predictor, counts: Predictor, *, decay: float = 0.8, prior: float = 1.0
    ) -> None:
        if not 0.0 < decay <= 1.0:
            raise ValueError(f"decay must lie in (0, 1], got {decay}")
        if prior <= 0.0:
            raise ValueError(f"prior must be positive, got {prior}")
        self._learned = learned
        self._counts = counts
        self._decay = decay
        self._prior = prior
        self._records = {kind: Record() for kind in KINDS}
        self._doubted: set[str] = set()

    def predict(self, prefixes: Sequence[Prefix]) -> list[Prediction]:
        """The mixture at every prefix."""
        both = zip(prefixes, self._learned.predict(prefixes), self._counts.predict(prefixes), strict=True)
        weight = {kind: self._weight(kind) for kind in KINDS}
        return [mixture(p, q, weight[_kind(prefix.depth)]) for prefix, p, q in both]

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Judge both on the step, then let both learn from it. Returns, measured before: the weight and the
        Brier score of each and of the mixture by kind; then what the parts return, under their names."""
        metrics = self._judge(forest)
        for name, part in (("learned", self._learned), ("counts", self._counts)):
            metrics |= {f"{name}/{key}": value for key, value in part.learn(forest).items()}
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Both parts' and the records, as JSON data."""
        return {
            "learned": self._learned.state_dict(),
            "counts": self._counts.state_dict(),
            "records": {kind: asdict(record) for kind, record in self._records.items()},
            "doubted": sorted(self._doubted),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood."""
        self._learned.load_state_dict(state["learned"])
        self._counts.load_state_dict(state["counts"])
        self._records = {kind: Record(**sums) for kind, sums in state["records"].items()}
        self._doubted = set(state["doubted"])

    def _weight(self, kind: str) -> float:
        return self._records[kind].weight(self._prior)

    def _judge(self, forest: Forest) -> dict[str, float]:
        told: dict[str, list[tuple[float, float, float, float]]] = {kind: [] for kind in KINDS}
        for tree in forest.trees:
            labels = played_out(tree)
            nodes = sorted({node for node, _ in labels})
            asked = prefixes(tree, nodes)
            spoken = zip(nodes, self._learned.predict(asked), self._counts.predict(asked), strict=True)
            known = {node: (p, q) for node, p, q in spoken}
            for node, outcome in labels:
                p, q = known[node]
                kind = _kind(node)
                mixed = mixture(p, q, self._weight(kind)).mean
                told[kind].append((p.mean, q.mean, mixed, outcome))
        metrics: dict[str, float] = {}
        for kind, rows in told.items():
            self._records[kind].fade(self._decay)
            if rows:
                metrics |= self._measure(kind, rows)
        return metrics

    def _measure(self, kind: str, rows: Sequence[tuple[float, float, float, float]]) -> dict[str, float]:
        learned, counts, mixed, outcomes = zip(*rows, strict=True)
        before = self._weight(kind)
        for p, q, y in zip(learned, counts, outcomes, strict=True):
            self._records[kind].add(p, q, y)
        self._speak(kind)
        return {
            f"weight_{kind}": before,
            f"brier_{kind}": brier(mixed, outcomes),
            f"brier_{kind}_learned": brier(learned, outcomes),
            f"brier_{kind}_beta": brier(counts, outcomes),
        }

    def _speak(self, kind: str) -> None:
        """Say in the log when the learned predictor is no longer, or again, worth listening to."""
        record, weight = self._records[kind], self._weight(kind)
        worse = weight < QUIET and record.learned > record.counts
        if worse and kind not in self._doubted:
            log.warning(
                "the learned predictor is worse than counts on %s (Brier %.3f against %.3f): weighted %.2f",
                {"root": "roots", "prefix": "prefixes"}[kind],
                record.learned / record.seen,
                record.counts / record.seen,
                weight,
            )
        if worse:
            self._doubted.add(kind)
        else:
            self._doubted.discard(kind)


def mixture(p: Prediction, q: Prediction, w: float) -> Prediction:
    """Two Betas, weighted w and 1-w, as the one of their mean and variance."""
    mean = w * p.mean + (1.0 - w) * q.mean
    variance = w * (_variance(p) + (p.mean - mean) ** 2) + (1.0 - w) * (_variance(q) + (q.mean - mean) ** 2)
    sure = mean * (1.0 - mean) / variance - 1.0 if variance > 0.0 else max(p.concentration, q.concentration)
    return Prediction(mean, max(sure, 1e-3), _either(p.tokens, q.tokens, w), _either(p.turns, q.turns, w))


def _variance(prediction: Prediction) -> float:
    return prediction.mean * (1.0 - prediction.mean) / (prediction.concentration + 1.0)


def _either(one: float | None, other: float | None, w: float) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return w * one + (1.0 - w) * other


def _kind(depth: int) -> str:
    return "prefix" if depth else "root"
