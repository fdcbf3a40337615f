"""Synthetic tasks whose value is known at every turn: log-odds that walk so that the value is a martingale.

From V the odds are multiplied or divided by the same factor, as likely as makes E[V'] = V; after the last
turn the episode succeeds with probability V. A task's difficulty, how early its outcome is decided, and how
good the predictor is are profiles. Nothing learns here. Leaves out schedulers, and what is made of their
choices.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp, log

from trace_gym.core.budget import Cost
from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, Turn
from trace_gym.core.predictor import Prediction
from trace_gym.core.task import Limits, Split, Task
from trace_gym.core.tokens import floats, ids

EDGE = 0.002
"""Values stay this far from 0 and 1, where log-odds end."""

DIFFICULTY: Mapping[str, Callable[[random.Random], float]] = {
    "u": lambda rng: rng.betavariate(0.3, 0.3),
    "wide": lambda rng: rng.choice((EDGE, 1 - EDGE)) if rng.random() < 0.7 else rng.uniform(0.1, 0.9),
    "hard": lambda rng: rng.betavariate(0.3, 1.5),
    "even": lambda rng: rng.betavariate(2.0, 2.0),
}
"""Where root values come from. `wide`: seven tasks of ten are always solved or never."""

DEPTH: Mapping[str, Callable[[int, int], float]] = {
    "steady": lambda turn, turns: 0.9,
    "early": lambda turn, turns: 2.2 if turn <= turns // 3 else 0.15,
    "late": lambda turn, turns: 0.1 if turn <= turns // 2 else 1.4,
    "last": lambda turn, turns: 0.0,
}
"""How far log-odds move at turn `turn` of `turns`. `last`: only the last turn decides."""


@dataclass(frozen=True, slots=True)
class Foresight:
    """A predictor as a distortion of the truth: log-odds times `slope` plus `shift` plus noise of deviation
    `noise`, its own at every node. `constant`: says one half always. `concentration` is what it claims."""

    slope: float = 1.0
    shift: float = 0.0
    noise: float = 0.0
    concentration: float = 20.0
    constant: bool = False

    def predict(self, value: float, rng: random.Random) -> Prediction:
        """V~ for a node of that value."""
        if self.constant:
            return Prediction(0.5, 2.0)
        odds = self.slope * _log_odds(value) + self.shift + rng.gauss(0.0, self.noise)
        return Prediction(_sigmoid(odds), self.concentration)


FORESIGHT: Mapping[str, Foresight] = {
    "sharp": Foresight(concentration=200.0),
    "noisy": Foresight(noise=1.0, concentration=6.0),
    "overconfident": Foresight(slope=2.5, noise=0.7, concentration=20.0),
    "biased": Foresight(shift=1.2, noise=0.5, concentration=10.0),
    "cold": Foresight(constant=True),
}


@dataclass(frozen=True, slots=True)
class Landscape:
    """`tasks` of `turns` turns, of a `difficulty` and a `depth` profile; the same for the same seed."""

    tasks: int = 256
    turns: int = 6
    difficulty: str = "wide"
    depth: str = "steady"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("difficulty", DIFFICULTY), ("depth", DEPTH)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.tasks < 1 or self.turns < 1:
            raise ValueError(f"at least one task of one turn, got {self.tasks} of {self.turns}")

    def values(self) -> list[float]:
        """V at every task's root."""
        rng = random.Random(f"{self.seed}/{self.difficulty}")
        return [min(max(DIFFICULTY[self.difficulty](rng), EDGE), 1 - EDGE) for _ in range(self.tasks)]

    def task(self, index: int) -> Task:
        """A task by its number."""
        return Task(str(index), "martingale", Split.TRAIN, f"f{index}", limits=Limits(max_turns=self.turns))

    def step(self, value: float, turn: int, rng: random.Random) -> float:
        """V after turn `turn` (counted from 1, the last excepted)."""
        by = DEPTH[self.depth](turn, self.turns)
        if by == 0.0:
            return value
        odds = _log_odds(value)
        up, down = _sigmoid(odds + by), _sigmoid(odds - by)
        return up if rng.random() < (value - down) / (up - down) else down


_NOTHING, _ONE, _ZERO = ids(), ids([1]), floats([0.0])
_WON, _LOST = (Verdict.of("done", won, evidence="") for won in (True, False))
_COST = Cost(decoded=1, steps=1)


def turn_of(parent: int, rollout: int, *, value: float, last: bool, won: bool) -> Turn:
    """A turn of one token. Its entropy is that of a coin of the value it began with, in nats."""
    entropy = -value * log(value) - (1.0 - value) * log(1.0 - value)
    return Turn(
        parent=parent,
        rollout=rollout,
        actor=Actor.POLICY,
        observation="",
        verdicts=(_WON if won else _LOST,),
        context_ids=_NOTHING,
        action_ids=_ONE,
        logprobs=_ZERO,
        entropy=floats([entropy]),
        terminated=last,
        cost=_COST,
    )


def _log_odds(value: float) -> float:
    value = min(max(value, 1e-9), 1.0 - 1e-9)
    return log(value / (1.0 - value))


def _sigmoid(odds: float) -> float:
    return 1.0 / (1.0 + exp(-min(max(odds, -30.0), 30.0)))
