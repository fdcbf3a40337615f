"""What a rollout is expected to cost before it is granted: turns left, sampled tokens, context, tool seconds.

Averages over the turns that were really played, by suite, fill in what a prediction does not say. Prices turn
an expectation, or a real `Cost`, into one number. Nothing here is charged: the purse books real costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from trace_gym.core.budget import Cost
from trace_gym.core.predictor import Prediction
from trace_gym.core.tree import Forest, RolloutTree


@dataclass(frozen=True, slots=True)
class Prices:
    """What one sampled `token`, one context token that must be computed (`fresh`) or is found in the cache
    (`cached`), one environment `step`, and one `second` of the environment cost, in any one unit."""

    token: float = 1.0
    fresh: float = 0.0
    cached: float = 0.0
    step: float = 0.0
    second: float = 0.0

    def __post_init__(self) -> None:
        for name, price in asdict(self).items():
            if not price >= 0.0:
                raise ValueError(f"the price of a {name} must not be negative, got {price}")
        if not any(asdict(self).values()):
            raise ValueError("something must have a price")

    def of(self, cost: Cost) -> float:
        """The price of what was really spent."""
        return (
            self.token * cost.decoded
            + self.fresh * cost.fresh
            + self.cached * cost.cached
            + self.step * cost.steps
            + self.second * cost.env_seconds
        )

    def expected(self, expense: Expense) -> float:
        """The price of what is expected."""
        return (
            self.token * expense.tokens
            + self.fresh * expense.fresh
            + self.cached * expense.cached
            + self.step * expense.turns
            + self.second * expense.seconds
        )


@dataclass(frozen=True, slots=True)
class Expense:
    """What one rollout is expected to take: `turns`, sampled `tokens`, context tokens computed (`fresh`) and
    found in the cache (`cached`), and `seconds` of the environment."""

    turns: float
    tokens: float
    fresh: float
    cached: float
    seconds: float


@dataclass(slots=True)
class Average:
    """Sums over turns and bare rollouts, faded step by step."""

    turns: float = 0.0
    tokens: float = 0.0
    fresh: float = 0.0
    cached: float = 0.0
    seconds: float = 0.0
    rollouts: float = 0.0
    length: float = 0.0


class Expenses:
    """Running averages by suite. A suite that was never played counts as the average of all; before the first
    step a turn is one token and an episode half its turn limit. State: the sums. They fade by `decay` a
    step."""

    def __init__(self, *, decay: float = 0.8) -> None:
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"decay must lie in [0, 1], got {decay}")
        self._decay = decay
        self._sums: dict[str, Average] = {}

    def expect(
        self, suite: str, max_turns: int, *, depth: int = 0, prediction: Prediction | None = None
    ) -> Expense:
        """One rollout from a prefix of `depth` turns. The prediction's own tokens and turns come first."""
        sums = self._of(suite)
        each = max(sums.turns, 1e-9)
        length = sums.length / sums.rollouts if sums.rollouts else max_turns / 2.0
        turns = prediction.turns if prediction is not None else None
        if turns is None:
            turns = min(max(1.0, length - depth), float(max(1, max_turns - depth)))
        tokens = prediction.tokens if prediction is not None else None
        if tokens is None:
            tokens = turns * (sums.tokens / each if sums.turns else 1.0)
        return Expense(
            turns,
            tokens,
            turns * sums.fresh / each,
            turns * sums.cached / each,
            turns * sums.seconds / each,
        )

    def learn(self, forest: Forest) -> None:
        """Take a step's turns into the averages."""
        for average in self._sums.values():
            for each in fields(average):
                setattr(average, each.name, getattr(average, each.name) * self._decay)
        for tree in forest.trees:
            self._add(self._sums.setdefault(tree.task.suite, Average()), tree)

    def state_dict(self) -> dict[str, Any]:
        """The sums, as JSON data."""
        return {suite: asdict(average) for suite, average in self._sums.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood."""
        self._sums = {suite: Average(**sums) for suite, sums in state.items()}

    def _of(self, suite: str) -> Average:
        if suite in self._sums:
            return self._sums[suite]
        total = Average()
        for average in self._sums.values():
            for each in fields(average):
                setattr(total, each.name, getattr(total, each.name) + getattr(average, each.name))
        return total

    def _add(self, average: Average, tree: RolloutTree) -> None:
        for turn in tree.turns[1:]:
            average.turns += 1.0
            average.tokens += turn.cost.decoded
            average.fresh += turn.cost.fresh
            average.cached += turn.cost.cached
            average.seconds += turn.cost.env_seconds
        for record in tree.rollouts:
            if record.anchor == 0 and record.scored and record.tip:
                average.rollouts += 1.0
                average.length += tree.depth(record.tip)
