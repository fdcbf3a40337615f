"""A suite whose episodes come to a halt after some calls, until a drill lets them go on."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trace_gym.bench.boxed import Boxed

FOLDER = "HALTING_FOLDER"
"""Names the folder in which the drill and the run meet; without it nothing halts."""
HALTED = "halted"
"""The file by which the run says that it stands."""
GO_ON = "go-on"
"""The file by which the drill lets it go on."""
_FREE_CALLS = 12
_count = itertools.count(1)


class Halting(Boxed):
    """`Boxed`, whose thirteenth call of the process and all later ones wait for the drill."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        folder = os.environ.get(FOLDER)
        if folder is not None and next(_count) > _FREE_CALLS:
            (Path(folder) / HALTED).touch()
            pause = threading.Event()
            while not (Path(folder) / GO_ON).exists():
                pause.wait(0.05)
        return super().call(name, arguments)
