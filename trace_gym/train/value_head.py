"""A predictor of success that learns: the policy's own hidden state, the checks and the task's record,
through a small network.

It serves the allocator alone; no gradient reaches the policy. Leaves out what play from a prefix will cost.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, gelu

from trace_gym.core.predictor import Prediction, Prefix
from trace_gym.core.targets import bare_only, own_outcome, prefixes, recursive_backup
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.model.threads import threads_of_torch
from trace_gym.train.head import Array, Head, kind_of, packed, unpacked

HELD_OUT = 5
"""Every fifth tree judges when to stop and is not learnt from."""


class Network(nn.Module):
    """Standardised features (B, F) -> logits (B,): a linear path and a narrow one of `width` units beside it.
    At first it says the same of everything."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.straight = nn.Parameter(torch.zeros(features))
        self.narrow = nn.Parameter(torch.zeros(width, features))
        self.bend = nn.Parameter(torch.zeros(width))
        self.out = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(()))

    @classmethod
    def new(cls, features: int, width: int, *, base: float, seed: int) -> Network:
        """One that gives everything the probability `base`."""
        network = cls(features, width)
        generator = torch.Generator().manual_seed(seed)
        base = min(max(base, 0.02), 0.98)
        with torch.no_grad():
            network.narrow.normal_(0.0, features**-0.5, generator=generator)
            network.bias.fill_(math.log(base / (1.0 - base)))
        return network

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B,)."""
        bent = gelu(x @ self.narrow.T + self.bend)
        return x @ self.straight + bent @ self.out + self.bias


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Labelled prefixes of one step: features (N, F), `target` (N,) in [0, 1], `held` (N,) those kept
    apart."""

    features: Array
    target: Array
    held: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.target)


class ValueHead(Head):
    """Implements core's Predictor.

    Targets: "own", the outcome of every rollout at the prefixes it played itself, with cross-entropy; "bare",
    the same of rollouts from the root only; or "backup", the tree's recursive backup (TRACE's), with squared
    error. Without `verdicts` what checks say is no feature. Nodes at which a rollout ended are
    not learnt from, for nobody asks about them. It learns from the last `memory` steps in minibatches of
    `batch`, at most `passes` times over, and keeps the weights that were best on held-out trees, those it
    had before included: a head that cannot improve does not change. A prefix without a hidden state is
    judged by its other features. A hidden state of a new size starts everything but the records afresh.

    The concentration is that of `Calibration` over recent steps, for roots and other prefixes apart.
    """

    def __init__(
        self,
        *,
        targets: Literal["own", "bare", "backup"] = "own",
        verdicts: bool = True,
        memory: int = 6,
        batch: int = 64,
        passes: int = 6,
        patience: int = 2,
        width: int = 16,
        lr: float = 1e-3,
        weight_decay: float = 0.3,
        seed: int = 0,
    ) -> None:
        if targets not in ("own", "bare", "backup"):
            raise ValueError(f"targets must be 'own', 'bare' or 'backup', got {targets!r}")
        counts = {"memory": memory, "batch": batch, "passes": passes, "patience": patience, "width": width}
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not lr > 0.0:
            raise ValueError(f"lr must be positive, got {lr}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay must not be negative, got {weight_decay}")
        super().__init__(verdicts=verdicts)
        self._targets, self._memory, self._batch = targets, memory, batch
        self._passes, self._patience, self._width = passes, patience, width
        self._lr, self._weight_decay, self._seed = lr, weight_decay, seed
        self._lessons: list[Lessons] = []
        self._step = 0
        self._network: Network | None = None
        self._centre, self._scale = np.zeros(0, np.float32), np.ones(0, np.float32)

    def predict(self, prefixes: Sequence[Prefix]) -> list[Prediction]:
        """Means within [0.01, 0.99]; without anything learnt, the base rate."""
        if not prefixes:
            return []
        means: NDArray[np.floating[Any]] = np.full(len(prefixes), self._records.base)
        if self._network is not None:
            means = self._judge(self._network, self._features(prefixes))
        sure = {kind: calibration.concentration() for kind, calibration in self._calibration.items()}
        return [
            Prediction(mean, sure[kind_of(prefix)])
            for mean, prefix in zip(means.clip(0.01, 0.99).tolist(), prefixes, strict=True)
        ]

    def _forget(self) -> None:
        self._network, self._lessons = None, []

    def _study(self, forest: Forest) -> dict[str, float]:
        """Labels, passes, held-out loss before and after."""
        self._lessons = [*self._lessons, self._lessons_of(forest)][-self._memory :]
        self._record(forest)
        with threads_of_torch(1):  # what is multiplied is too small to be shared out
            metrics = self._fit()
        self._step += 1
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Network, lessons, records and calibration, as JSON data; arrays exactly, in base64."""
        network = self._network.state_dict() if self._network else {}
        return super().state_dict() | {
            "step": self._step,
            "network": {name: packed(tensor.numpy()) for name, tensor in network.items()},
            "centre": packed(self._centre),
            "scale": packed(self._scale),
            "lessons": [[packed(x) for x in (ls.features, ls.target, ls.held)] for ls in self._lessons],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood."""
        super().load_state_dict(state)
        self._step = int(state["step"])
        self._network = None
        if state["network"]:
            weights = {name: torch.from_numpy(unpacked(part)) for name, part in state["network"].items()}
            self._network = Network(len(weights["straight"]), len(weights["out"]))
            self._network.load_state_dict(weights)
        self._centre, self._scale = unpacked(state["centre"]), unpacked(state["scale"])
        self._lessons = [Lessons(*map(unpacked, parts)) for parts in state["lessons"]]

    def _standardised(self, features: Array) -> Tensor:
        return torch.from_numpy(((features - self._centre) / self._scale).clip(-5.0, 5.0))

    @torch.no_grad()
    def _judge(self, network: Network, features: Array) -> Array:
        judged: Array = network(self._standardised(features)).sigmoid().numpy()
        return judged

    def _labels(self, tree: RolloutTree) -> list[tuple[int, float]]:
        """(node, target) at nodes where play could go on."""
        ends = tree.leaves()
        if self._targets != "backup":
            told = own_outcome(tree) if self._targets == "own" else bare_only(tree)
            return [(node, outcome) for node, outcome in told if node not in ends]
        return [(node, value) for node, (value, _) in recursive_backup(tree).items() if node not in ends]

    def _lessons_of(self, forest: Forest) -> Lessons:
        asked: list[Prefix] = []
        target: list[float] = []
        held: list[bool] = []
        for tree in forest.trees:
            labels = self._labels(tree)
            apart = crc32(tree.task.key.encode()) % HELD_OUT == 0
            asked += prefixes(tree, [node for node, _ in labels])
            target += [value for _, value in labels]
            held += [apart] * len(labels)
        return Lessons(self._features(asked), np.array(target, np.float32), np.array(held, np.bool_))

    def _fit(self) -> dict[str, float]:
        """Minibatch passes over the remembered lessons, stopped by the held-out part."""
        features = np.concatenate([lessons.features for lessons in self._lessons])
        target = np.concatenate([lessons.target for lessons in self._lessons])
        held = np.concatenate([lessons.held for lessons in self._lessons])
        if held.all():
            held = ~held
        metrics = {"labels": float(len(target))}
        if not len(target):
            return metrics
        self._centre = features.mean(axis=0)
        self._scale = np.where((scale := features.std(axis=0)) > 1e-4, scale, 1.0).astype(np.float32)
        x, y = self._standardised(features), torch.from_numpy(target)
        network = self._network or Network.new(
            features.shape[1], self._width, base=float(target.mean()), seed=self._seed
        )
        learn, apart = (torch.from_numpy(np.flatnonzero(part)) for part in (~held, held))
        best = start = self._held_out_loss(network, x[apart], y[apart])
        kept, since, done = copy.deepcopy(network.state_dict()), 0, 0
        rng = np.random.default_rng([self._seed, self._step])
        weights, decay = network.parameters(), self._weight_decay
        optimizer = torch.optim.AdamW(weights, lr=self._lr, weight_decay=decay, fused=True)
        while done < (self._passes if len(apart) else 1) and since < self._patience:
            order = learn[torch.from_numpy(rng.permutation(len(learn)))]
            for first in range(0, len(order), self._batch):
                part = order[first : first + self._batch]
                optimizer.zero_grad(set_to_none=True)
                self._loss(network(x[part]), y[part]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            done += 1
            loss = self._held_out_loss(network, x[apart], y[apart])
            if loss < best or not len(apart):
                best, since, kept = loss, 0, copy.deepcopy(network.state_dict())
            else:
                since += 1
        network.load_state_dict(kept)
        self._network = network
        return metrics | {"passes": float(done), "held_out_before": start, "held_out": best}

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        if self._targets != "backup":
            return binary_cross_entropy_with_logits(logits, target)
        return (logits.sigmoid() - target).square().mean()

    @torch.no_grad()
    def _held_out_loss(self, network: Network, x: Tensor, y: Tensor) -> float:
        return float(self._loss(network(x), y)) if len(y) else 0.0
