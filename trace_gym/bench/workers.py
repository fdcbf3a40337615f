"""Worker processes for measurements: as many as asked for, none of which outlives the process that asked.

Leaves out what they do.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread


def workers(count: int) -> ProcessPoolExecutor:
    """`count` fresh processes. A worker of a killed process would otherwise finish what it was at, and then
    wait for more for ever."""
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_leave_with_parent)


def _leave_with_parent() -> None:
    Thread(target=_watch, name="watch parent", daemon=True).start()


def _watch() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
