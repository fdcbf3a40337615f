"""Garbage collection of a long run: what was there before it is not searched again and again.

Libraries leave hundreds of thousands of objects that live as long as the process; every full collection looks
at each of them. Leaves out what a run makes itself, which is collected as ever.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def settled() -> Iterator[None]:
    """What is in memory now, garbage that nobody has collected yet included, is kept out of collections
    meanwhile, in the whole process; the outermost call counts."""
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
