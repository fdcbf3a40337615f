"""V~ as a rule sees it: the predictor's word, or a prior where there is none or it is too early for one.

Leaves out the predictors.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.contrast import Reals

UNSURE = 2.0
"""The concentration of a prior: a flat Beta's, where the prior is one half."""


class Belief:
    """V~ as the allocator sees it: the predicted mean, or `prior` where there is no prediction and during the
    first `cold_steps` steps, when the predictor has learnt too little to be followed.

    `posterior`: V~ is uncertain by its concentration (a prior's is `UNSURE`); else it is taken for the truth.
    """

    def __init__(self, *, prior: float = 0.5, cold_steps: int = 0, posterior: bool = False) -> None:
        if not 0.0 < prior < 1.0:
            raise ValueError(f"prior must lie in (0, 1), got {prior}")
        if cold_steps < 0:
            raise ValueError(f"cold_steps must not be negative, got {cold_steps}")
        self._prior = prior
        self._cold_steps = cold_steps
        self.posterior = posterior

    def value(self, prediction: Prediction | None, *, step: int) -> float:
        """V~ in [0, 1]."""
        if prediction is None or step < self._cold_steps:
            return self._prior
        return prediction.mean

    def sure(self, prediction: Prediction | None, *, step: int) -> float:
        """How many observations V~ is worth."""
        if prediction is None or step < self._cold_steps:
            return UNSURE
        return prediction.concentration

    def words(self, prediction: Prediction | None, *, step: int) -> str:
        """V~ for people."""
        value = f"V~={self.value(prediction, step=step):.2f}"
        if prediction is None:
            return f"{value} (no prediction)"
        return f"{value} (cold start)" if step < self._cold_steps else value

    def values(self, pool: Iterable[Candidate], *, step: int) -> Reals:
        """V~ (n,) at the roots of a pool."""
        return np.array([self.value(candidate.prediction, step=step) for candidate in pool], dtype=np.float64)

    def sures(self, predictions: Iterable[Prediction | None], *, step: int) -> Reals | None:
        """Concentrations (n,), None where V~ is taken for the truth."""
        if not self.posterior:
            return None
        return np.array([self.sure(prediction, step=step) for prediction in predictions], dtype=np.float64)
