"""What a training run is configured with, and the only place that reads and writes TOML."""

from trace_gym.config.emit import toml
from trace_gym.config.load import changed, dump, keys, load, parse, preset, presets, table
from trace_gym.config.place import differing, moved
from trace_gym.config.sections import (
    AgentSection,
    BudgetSection,
    EvalSection,
    PolicySection,
    PredictorSection,
    RunConfig,
    RunSection,
    SchedulerSection,
    SuiteSection,
    TrainSection,
    WarmstartSection,
    WatchSection,
)

__all__ = [
    "AgentSection",
    "BudgetSection",
    "EvalSection",
    "PolicySection",
    "PredictorSection",
    "RunConfig",
    "RunSection",
    "SchedulerSection",
    "SuiteSection",
    "TrainSection",
    "WarmstartSection",
    "WatchSection",
    "changed",
    "differing",
    "dump",
    "keys",
    "load",
    "moved",
    "parse",
    "preset",
    "presets",
    "table",
    "toml",
]
