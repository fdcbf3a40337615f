"""Error bars, paired differences, survival, adaptive allocation: the mathematics of evaluation.

Pure functions on outcomes; no I/O, no run folders. Attempts that are invalid or censored are left out by the
caller: they are neither successes nor failures, and `possible` says what they leave open.
"""

from trace_gym.statistics.interval import (
    LEAST_CLUSTERS,
    NOTHING,
    Interval,
    mean_interval,
    ratio_interval,
    success_interval,
    weighted_interval,
    weighted_success,
    wilson,
)
from trace_gym.statistics.paired import Difference, difficulty, holm, paired
from trace_gym.statistics.passes import all_of, any_of, pass_interval, possible
from trace_gym.statistics.survival import TurnRow, survival

__all__ = [
    "LEAST_CLUSTERS",
    "NOTHING",
    "Difference",
    "Interval",
    "TurnRow",
    "all_of",
    "any_of",
    "difficulty",
    "holm",
    "mean_interval",
    "paired",
    "pass_interval",
    "possible",
    "ratio_interval",
    "success_interval",
    "survival",
    "weighted_interval",
    "weighted_success",
    "wilson",
]
