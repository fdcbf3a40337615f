"""The record of a run: one folder, one SQLite file, committed turn by turn."""

from trace_gym.store.database import FILE
from trace_gym.store.export import StoredEpisode, episode_record
from trace_gym.store.run import HeldOutAccess, Hidden, LogLine, RunStatus, StepRecord, Store
from trace_gym.store.schema import SCHEMA_VERSION

__all__ = [
    "FILE",
    "SCHEMA_VERSION",
    "HeldOutAccess",
    "Hidden",
    "LogLine",
    "RunStatus",
    "StepRecord",
    "Store",
    "StoredEpisode",
    "episode_record",
]
