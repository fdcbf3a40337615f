"""The database of an episode: SQLite in memory, forked by copying its image.

Leaves out what is in it (see `stocking`) and what may be done to it (see `pages`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Database:
    """One shop's tables. Lifecycle: made of an image, opened at the first question, closed by its owner.

    A copy (`deepcopy`, `fork`) is an image not yet opened, so it may cross threads and be copied by several
    at once; an open one belongs to one thread at a time.
    """

    def __init__(self, image: bytes) -> None:
        self._image = image
        self._open: sqlite3.Connection | None = None
        self._memory: dict[str, tuple[int, Any]] = {}

    @property
    def version(self) -> int:
        """Rows changed since it was opened."""
        return 0 if self._open is None else self._open.total_changes

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a question."""
        return self._connection().execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of a question; None if there is none."""
        found: tuple[Any, ...] | None = self._connection().execute(sql, values).fetchone()
        return found

    def value(self, sql: str, *values: object) -> Any:
        """The first column of the first row; None if there is none."""
        found = self.row(sql, *values)
        return None if found is None else found[0]

    def change(self, sql: str, *values: object) -> None:
        """Carry out one statement."""
        self._connection().execute(sql, values)

    def remembered(self, name: str, ask: Callable[[], T]) -> T:
        """What `ask` says, asked again only after a change."""
        known = self._memory.get(name)
        if known is None or known[0] != self.version:
            known = self._memory[name] = (self.version, ask())
        return cast(T, known[1])

    def image(self) -> bytes:
        """Everything in it, as bytes."""
        if self._open is not None and self._open.total_changes:
            return self._open.serialize()
        return self._image

    def fork(self) -> Database:
        """A copy, not yet opened."""
        return Database(self.image())

    def __deepcopy__(self, memo: dict[int, object]) -> Database:
        return self.fork()

    def close(self) -> None:
        """Give its memory back; the last image stays. May be called again."""
        if self._open is not None:
            self._image = self.image()
            self._open.close()
            self._open = None
            self._memory.clear()

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._open = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._open.deserialize(self._image)
        return self._open
