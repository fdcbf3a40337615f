"""What learned predictors of success have in common: features of prefixes, records of tasks, calibration, and
how right they were before they learned.

A predictor serves the allocator alone; no gradient reaches the policy. Leaves out how a head learns.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trace_gym.core.predictor import Prediction, Prefix
from trace_gym.core.targets import bare_only, own_outcome, played_out, prefixes, taught
from trace_gym.core.tree import Forest
from trace_gym.train.calibration import Calibration
from trace_gym.train.features import PLAIN, Records, plain_features

Array: TypeAlias = NDArray[np.float32]


class Head(ABC):
    """Core's Predictor, but for what a kind of head must say: how it predicts, learns and starts afresh.

    A hidden state of a new size starts everything but the records and the calibration afresh. The
    concentration of `Calibration` is kept over recent steps, for roots and other prefixes apart.
    """

    def __init__(self, *, verdicts: bool = True) -> None:
        self._verdicts = verdicts
        self._records = Records()
        self._calibration = {"root": Calibration(), "prefix": Calibration()}
        self._hidden = 0

    @abstractmethod
    def predict(self, prefixes: Sequence[Prefix]) -> list[Prediction]:
        """What is said of prefixes."""

    @abstractmethod
    def _forget(self) -> None:
        """Start afresh."""

    @abstractmethod
    def _study(self, forest: Forest) -> dict[str, float]:
        """Learn from a step, and say how."""

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Learn from a step. Returns, measured before: `brier_root` and `brier_prefix` of bare rollouts that
        were not cut; and of the learning itself what the head says, and the concentrations."""
        metrics = self._score(forest)
        sizes = [len(turn.hidden) for tree in forest.trees for turn in tree.turns if turn.hidden is not None]
        if sizes and sizes[0] != self._hidden:
            self._hidden = sizes[0]
            self._forget()
        metrics |= self._study(forest)
        return metrics | {f"concentration_{kind}": c.concentration() for kind, c in self._calibration.items()}

    def state_dict(self) -> dict[str, Any]:
        """What all heads know, as JSON data."""
        return {
            "hidden": self._hidden,
            "records": self._records.state_dict(),
            "calibration": {kind: c.state_dict() for kind, c in self._calibration.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood."""
        self._hidden = int(state["hidden"])
        self._records.load_state_dict(state["records"])
        for kind, calibration in self._calibration.items():
            calibration.load_state_dict(state["calibration"][kind])

    def _features(self, prefixes: Sequence[Prefix]) -> Array:
        """(N, PLAIN + 1 + D): the plain features, whether there is a hidden state, and the hidden state."""
        rows = np.zeros((len(prefixes), PLAIN + 1 + self._hidden), dtype=np.float32)
        rows[:, :PLAIN] = plain_features(prefixes, self._records, verdicts=self._verdicts)
        states = [(i, prefix.hidden) for i, prefix in enumerate(prefixes) if prefix.hidden is not None]
        fitting = [(i, hidden) for i, hidden in states if len(hidden) == self._hidden]
        if fitting:
            places, hidden = zip(*fitting, strict=True)
            rows[places, PLAIN], rows[places, PLAIN + 1 :] = 1.0, np.stack(hidden)
        return rows

    def _record(self, forest: Forest) -> None:
        """A step has passed: remember how its bare rollouts ended."""
        self._records.fade()
        for tree in forest.trees:
            for node, outcome in bare_only(tree):
                if node == 0:
                    self._records.add(tree.task.key, outcome)

    def _score(self, forest: Forest) -> dict[str, float]:
        """Compare predictions with a step's outcomes; remember groups of rollouts for calibration. One that
        was cut before its end says anything of its anchor is in none."""
        errors: dict[str, list[float]] = {"root": [], "prefix": []}
        for tree in forest.trees:
            nodes = sorted({node for node, _ in own_outcome(tree)})
            means = {n: p.mean for n, p in zip(nodes, self.predict(prefixes(tree, nodes)), strict=True)}
            ends, outcomes = tree.leaves(), tree.outcomes()
            for node, outcome in played_out(tree):
                errors["prefix" if node else "root"].append((means[node] - outcome) ** 2)
            won: dict[int, list[float]] = {}
            for leaf, rollout in ends.items():
                if leaf in outcomes and taught(tree, rollout):
                    won.setdefault(tree.rollouts[rollout].anchor, []).append(outcomes[leaf])
            for anchor, results in won.items():
                kind = "prefix" if anchor else "root"
                self._calibration[kind].add(means[anchor], int(sum(results)), len(results))
        return {f"brier_{kind}": float(np.mean(these)) for kind, these in errors.items() if these}


def kind_of(prefix: Prefix) -> str:
    """Which calibration a prefix comes under."""
    return "prefix" if prefix.depth else "root"


def packed(array: NDArray[Any]) -> dict[str, Any]:
    """An array, exactly, as JSON data."""
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}


def unpacked(stored: Mapping[str, Any]) -> NDArray[Any]:
    """What `packed` packed."""
    flat = np.frombuffer(base64.b64decode(stored["data"]), dtype=stored["dtype"])
    return flat.reshape(stored["shape"]).copy()
