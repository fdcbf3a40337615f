"""How sure a predictor may be: the concentration of the Beta that its past predictions deserve.

Rollouts from one anchor share one true chance of success. If the predictor's mean m there is worth c
observations, that chance is Beta(cm, c(1-m)) and s successes of n are beta-binomial; the c under which past
groups are likeliest is how good the predictor was. Leaves out the predictor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import betaln

GRID = np.geomspace(0.5, 256.0, 37)
"""The concentrations that are tried."""
TYPICAL, SPREAD = 8.0, 1.0
"""The prior on c: log-normal about 8 with a deviation of one."""


@dataclass(slots=True)
class Calibration:
    """The last `memory` groups as (predicted mean, successes, rollouts). Groups of one tell nothing of c."""

    memory: int = 512
    groups: deque[tuple[float, int, int]] = field(default_factory=deque)
    _known: float | None = field(default=None, init=False, repr=False, compare=False)

    def add(self, mean: float, successes: int, rollouts: int) -> None:
        """What was predicted for an anchor, and what came of the rollouts from it."""
        if rollouts > 1:
            self.groups.append((mean, successes, rollouts))
        while len(self.groups) > self.memory:
            self.groups.popleft()
        self._known = None

    def concentration(self) -> float:
        """The likeliest c on the grid; without any group, the typical one."""
        if self._known is None:
            self._known = self._likeliest()
        return self._known

    def _likeliest(self) -> float:
        score = -0.5 * (np.log(GRID / TYPICAL) / SPREAD) ** 2
        if self.groups:
            mean, wins, count = (np.array(column)[:, None] for column in zip(*self.groups, strict=True))
            a, b = GRID * mean, GRID * (1.0 - mean)
            score = score + (betaln(a + wins, b + count - wins) - betaln(a, b)).sum(axis=0)
        return float(GRID[int(np.argmax(score))])

    def state_dict(self) -> dict[str, Any]:
        """The groups, as JSON data."""
        return {"groups": [list(group) for group in self.groups]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` stood."""
        self.groups = deque((float(m), int(s), int(n)) for m, s, n in state["groups"])
        self._known = None
