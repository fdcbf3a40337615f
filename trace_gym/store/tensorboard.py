"""A run's metrics as TensorBoard reads them, in the run's own folder. Sole importer of tensorboard.

Leaves out everything that is not a number by step: for trees and episodes there is the run file itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from trace_gym.core.errors import MissingExtra, RunFolderError, boundary

FOLDER = "tensorboard"


class TensorBoard:
    """Writes event files below `folder`. A context manager; what was written is on the disk after every call.

    `first` is the step the run stands at: a resumed run takes back, for TensorBoard, what was written of that
    step and later ones before it was cut off. Raises MissingExtra, RunFolderError.
    """

    def __init__(self, folder: Path, *, first: int = 0, clock: Callable[[], float] = time.time) -> None:
        try:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"run.tensorboard needs {error.name}: pip install 'trace-gym[tensorboard]'"
            ) from error
        self._event, self._summary, self._clock = Event, Summary, clock
        self._folder = folder / FOLDER
        with boundary(RunFolderError, OSError, what=f"cannot write to {self._folder}"):
            self._writer = EventFileWriter(str(self._folder), flush_secs=10)
        start = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(wall_time=clock(), step=first, session_log=start))

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def scalars(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the finite numbers among the metrics of a step."""
        values = [
            self._summary.Value(tag=name, simple_value=float(value))
            for name, value in metrics.items()
            if math.isfinite(value)
        ]
        with boundary(RunFolderError, OSError, what=f"cannot write to {self._folder}"):
            event = self._event(wall_time=self._clock(), step=step, summary=self._summary(value=values))
            self._writer.add_event(event)
            self._writer.flush()
