"""New files that are there whole or not at all.

Leaves out files that are written again, and what a killed process leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """A text file to write to, which must not exist yet and is removed again where writing it fails: what is
    left of it would stand in the way of the next try. Raises OSError."""
    with path.open("x", encoding="utf-8") as file:
        try:
            yield file
            file.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
