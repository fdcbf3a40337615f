"""Evaluation on held-out tasks: play them, say how sure the numbers are, leave nothing out, compare."""

from trace_gym.evaluate.adaptive import AdaptiveConfig
from trace_gym.evaluate.evaluation import evaluate, evaluate_adaptively
from trace_gym.evaluate.plan import EpisodeLimits, EvalConfig, Part, Planned, chosen, planned
from trace_gym.evaluate.report import CheckRate, Report, summarise

__all__ = [
    "AdaptiveConfig",
    "CheckRate",
    "EpisodeLimits",
    "EvalConfig",
    "Part",
    "Planned",
    "Report",
    "chosen",
    "evaluate",
    "evaluate_adaptively",
    "planned",
    "summarise",
]
