"""The conformance test of schedulers: it passes what keeps the protocol, and catches what does not."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.scheduler import Answer, Cancel, Candidate, EpisodeDone, Event, Grant
from trace_gym.core.tree import Anchor, Forest, RolloutTree
from trace_gym.testing import Trial, check_scheduler


class Honest:
    """Two roots a candidate; a failed root earns one continuation of its first turn, every other one is taken
    back."""

    def __init__(self) -> None:
        self.step = 0
        self.numbers = 0
        self.spare = 0

    pool_size: int | None = 8
    forks = True
    hears_turns = True

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        self.numbers, self.budget = 0, budget
        affordable = min(len(pool), int(budget.left("trajectories")) // 3)
        self.spare = int(budget.left("trajectories")) - 2 * affordable
        return [self.grant(Anchor(c.index), 2) for c in pool[:affordable]]

    def grant(self, anchor: Anchor, count: int) -> Grant:
        self.numbers += 1
        return Grant(self.numbers - 1, anchor, count, "two roots")

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        if not isinstance(event, EpisodeDone) or tree.outcome(event.rollout) is not False or not self.spare:
            return []
        path = tree.path(tree.rollouts[event.rollout].tip)
        if len(path) < 2 or not tree.bare(event.rollout):
            return []
        self.spare -= 1
        fork = self.grant(Anchor(tree.index, self.node(path)), 1)
        return [fork, Cancel(fork.number)] if fork.number % 2 == self.step % 2 else [fork]

    def node(self, path: Sequence[int]) -> int:
        return path[0]

    def learn(self, forest: Forest) -> Mapping[str, float]:
        self.step += 1
        return {"trees": len(forest.trees)}

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]


class Spendthrift(Honest):
    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        return [replace(grant, count=20) for grant in super().propose(pool, budget)]


class Repeats(Honest):
    def grant(self, anchor: Anchor, count: int) -> Grant:
        return Grant(0, anchor, count, "always number 0")


class ForksLeaves(Honest):
    def node(self, path: Sequence[int]) -> int:
        return path[-1]


class ForksInSecret(Honest):
    forks = False


class Forgets(Honest):
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step = 0


class Gambles(Honest):
    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        return [g for g in super().propose(pool, budget) if random.random() < 0.5]


class LooksIntoThePurse(Honest):
    """Its purse is another one when a step is repeated."""

    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        return super().observe(tree, event) if self.budget.left("trajectories") < 60 else []


class LosesCount(Honest):
    def learn(self, forest: Forest) -> Mapping[str, float]:
        return {**super().learn(forest), "ratio": float("nan")}


class CancelsTheUnknown(Honest):
    def observe(self, tree: RolloutTree, event: Event) -> Sequence[Answer]:
        return [*super().observe(tree, event), Cancel(10**6)]


class InventsTasks(Honest):
    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        return [*super().propose(pool, budget), self.grant(Anchor(1000), 1)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("failures", [0.0, 0.3])
def test_a_scheduler_that_keeps_the_protocol_passes(seed: int, failures: float) -> None:
    check_scheduler(Honest, trial=Trial(seed=seed, failures=failures, predictions=seed % 2 == 0))


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Spendthrift, "exceeds the budget"),
        (Repeats, "number of an earlier grant"),
        (ForksLeaves, "where the episode has ended"),
        (ForksInSecret, "`forks` is False"),
        (Forgets, "a restored instance decided otherwise"),
        (Gambles, "decided otherwise"),
        (LooksIntoThePurse, "was another when the step was repeated"),
        (LosesCount, "the metric 'ratio' is nan"),
        (CancelsTheUnknown, "takes back a grant that was never made"),
        (InventsTasks, "not in the pool"),
    ],
)
def test_a_scheduler_that_breaks_the_protocol_is_caught(broken: Callable[[], Honest], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_scheduler(broken, trial=Trial(seed=1, trajectories=60))
