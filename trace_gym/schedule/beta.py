"""A predictor that only counts: successes by task, by check verdicts and by depth, each shrunk to the next.

No features but the suite, the depth and the share of checks passed, so it knows an unseen task as the average
of its suite and a seen one by its own record. Leaves out the policy's states: that is the learned predictor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, TypeAlias

from trace_gym.core.check import Status, potential
from trace_gym.core.predictor import Prediction, Prefix
from trace_gym.core.targets import played, prefixes, taught
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.schedule.quality import bare_samples, brier

Key: TypeAlias = tuple[str | int, ...]

NO_FINDING = -1
"""In place of the share of checks passed: the root, and prefixes at which no check has a finding."""


class Targets(StrEnum):
    """Which rollouts teach about prefixes. BARE: those from the root, so that every count is an unbiased
    average over the prefixes a bare rollout meets. OWN: continuations too, for their anchor and their own
    turns; more data, of the prefixes that the scheduler chose. The root is taught by bare rollouts in any
    case."""

    BARE = "bare"
    OWN = "own"


@dataclass(slots=True)
class Cell:
    """Sums over rollouts, faded to step `step`: how many, how many won, tokens and turns they still took."""

    seen: float = 0.0
    won: float = 0.0
    tokens: float = 0.0
    turns: float = 0.0
    step: int = 0

    def fade(self, step: int, decay: float) -> None:
        """Bring the sums forward to a later step."""
        worth = decay ** (step - self.step)
        self.seen, self.won = self.seen * worth, self.won * worth
        self.tokens, self.turns, self.step = self.tokens * worth, self.turns * worth, step


class BetaPredictor:
    """A Predictor of Beta posteriors in a chain: everything, suite, depth, share of checks passed, task.

    Each level's prior is the mean of the level above at a weight of `strength` rollouts; above the topmost
    stands 1/2. A level without counts hands the mean on, worth `strength`. Counts lose the factor `decay` a
    step, for the policy changes; those worth less than `forget` rollouts are dropped. The share of checks
    passed (weighted) is rounded to 1/`shares`; without `verdicts` it is left out.
    State: the counts and the number of steps learnt.
    """

    def __init__(
        self,
        *,
        decay: float = 0.95,
        strength: float = 2.0,
        shares: int = 10,
        forget: float = 0.01,
        targets: Targets | str = Targets.BARE,
        verdicts: bool = True,
    ) -> None:
        if not 0.0 < decay <= 1.0:
            raise ValueError(f"decay must lie in (0, 1], got {decay}")
        if strength <= 0.0:
            raise ValueError(f"strength must be positive, got {strength}")
        if shares < 1:
            raise ValueError(f"shares must be at least 1, got {shares}")
        if not 0.0 < forget < 1.0:
            raise ValueError(f"forget must lie in (0, 1), got {forget}")
        self._decay = decay
        self._strength = strength
        self._shares = shares
        self._forget = forget
        self._targets = Targets(targets)
        self._verdicts = verdicts
        self._cells: dict[Key, Cell] = {}
        self._worked_out: dict[Key, Prediction] = {}
        self._step = 0

    def predict(self, prefixes: Sequence[Prefix]) -> list[Prediction]:
        """Posterior mean and concentration, and the tokens and turns that play from there still takes."""
        keys = [self._key(prefix) for prefix in prefixes]
        return [self._under(self._above(key[:-1]), self._cells.get(key)) for key in keys]

    def learn(self, forest: Forest) -> Mapping[str, float]:
        """Count a step's rollouts; returns `brier_root` and `brier_prefix`, of its bare rollouts, before."""
        metrics = self._score(forest)
        self._worked_out.clear()
        self._step += 1
        for tree in forest.trees:
            for prefix, won, tokens, turns in self._lessons(tree):
                for key in _levels(self._key(prefix)):
                    cell = self._cells.setdefault(key, Cell(step=self._step))
                    cell.fade(self._step, self._decay)
                    cell.seen += 1.0
                    cell.won += won
                    cell.tokens += tokens
                    cell.turns += turns
        self._cells = {
            key: cell
            for key, cell in self._cells.items()
            if cell.seen * self._decay ** (self._step - cell.step) >= self._forget
        }
        return {**metrics, "cells": float(len(self._cells))}

    def state_dict(self) -> dict[str, Any]:
        """Steps learnt and all counts, as JSON data."""
        return {"step": self._step, "cells": [[list(key), *astuple(c)] for key, c in self._cells.items()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood."""
        self._step = int(state["step"])
        self._worked_out.clear()
        self._cells = {tuple(key): Cell(*sums) for key, *sums in state["cells"]}

    def _above(self, key: Key) -> Prediction:
        """What is known on the levels from the topmost to that of `key`; worked out once a step."""
        if key not in self._worked_out:
            above = self._above(key[:-1]) if key else Prediction(0.5, self._strength)
            self._worked_out[key] = self._under(above, self._cells.get(key))
        return self._worked_out[key]

    def _under(self, above: Prediction, cell: Cell | None) -> Prediction:
        """What is known on a level, from the one above and the level's counts."""
        weight = self._strength
        if cell is None:
            return Prediction(above.mean, weight, above.tokens, above.turns)
        worth = self._decay ** (self._step - cell.step)
        seen = cell.seen * worth
        return Prediction(
            (weight * above.mean + cell.won * worth) / (weight + seen),
            weight + seen,
            _blend(above.tokens, weight, cell.tokens * worth, seen),
            _blend(above.turns, weight, cell.turns * worth, seen),
        )

    def _key(self, prefix: Prefix) -> Key:
        """The key of the most particular level."""
        return prefix.suite, prefix.depth, self._share(prefix), prefix.task

    def _share(self, prefix: Prefix) -> int:
        found = self._verdicts and any(v.status in (Status.PASS, Status.FAIL) for v in prefix.verdicts)
        return round(potential(prefix.verdicts) * self._shares) if prefix.depth and found else NO_FINDING

    def _lessons(self, tree: RolloutTree) -> Iterator[tuple[Prefix, float, float, float]]:
        """(prefix, outcome, tokens left, turns left) for every prefix that a rollout may teach about."""
        values, asked = tree.values(), prefixes(tree, range(len(tree.turns)))
        for leaf, rollout in tree.leaves().items():
            if leaf not in values or (self._targets is Targets.BARE and not tree.bare(rollout)):
                continue
            nodes, known = played(tree, rollout), set(taught(tree, rollout))
            tokens = 0
            for turns, (node, after) in enumerate(reversed(list(pairwise(nodes))), start=1):
                tokens += tree.turns[after].cost.decoded
                if node not in known:
                    continue
                yield asked[node], values[leaf], float(tokens), float(turns)

    def _score(self, forest: Forest) -> dict[str, float]:
        samples = bare_samples(forest, self)
        kinds = {"root": [s for s in samples if not s.depth], "prefix": [s for s in samples if s.depth]}
        return {
            f"brier_{kind}": brier([s.predicted for s in these], [s.outcome for s in these])
            for kind, these in kinds.items()
            if these
        }


def _levels(key: Key) -> Iterator[Key]:
    """Keys from the most general to this one."""
    return (key[:parts] for parts in range(len(key) + 1))


def _blend(above: float | None, weight: float, total: float, seen: float) -> float:
    """The mean of `seen` values that sum to `total`, shrunk to the level above with `weight`."""
    return total / seen if above is None else (weight * above + total) / (weight + seen)
