"""A library: articles that can be read by title and searched in full text (SQLite FTS5, ranked by BM25).

Read-only once built, so that any number of environments and threads may share one. Leaves out where the
articles come from.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from trace_gym.core.errors import EnvironmentFailed, boundary

_MAX_TERMS: Final = 32
_WEIGHTS: Final = "8.0, 4.0, 1.0"  # of title, lead and body in the ranking
_COMMON: Final = (
    "a an and as at by did do does for from had has have he her his in is it its of on or she that the their"
    " they this to was were what when where which who whom whose why with"
)
_STOP: Final = frozenset(_COMMON.split())


@dataclass(frozen=True, slots=True)
class Article:
    """`title` is its own, `name` may be that of others too; `lead` is what a search result shows of it."""

    title: str
    name: str
    lead: str
    body: str

    @property
    def text(self) -> str:
        """The whole article as it is read."""
        return "\n".join(part for part in (self.title, self.lead, self.body) if part)


class Library:
    """Articles with different titles (up to case and spaces). Thread-safe; the index lives in memory.

    Raises ValueError for equal titles, EnvironmentFailed where SQLite cannot build the index.
    """

    def __init__(self, articles: Iterable[Article]) -> None:
        self.articles = tuple(articles)
        self._by_title = {_key(article.title): article for article in self.articles}
        if len(self._by_title) != len(self.articles):
            raise ValueError("the titles of a library's articles must differ")
        self._by_name: dict[str, list[str]] = {}
        for article in self.articles:
            self._by_name.setdefault(_key(article.name), []).append(article.title)
        self._lock = threading.Lock()
        with boundary(EnvironmentFailed, sqlite3.Error, what="the full-text index cannot be built"):
            self._index = sqlite3.connect(":memory:", check_same_thread=False)
            weakref.finalize(self, self._index.close).atexit = False
            self._index.execute("CREATE VIRTUAL TABLE articles USING fts5(title, lead, body)")
            rows = ((i, a.title, a.lead, a.body) for i, a in enumerate(self.articles))
            self._index.executemany(
                "INSERT INTO articles(rowid, title, lead, body) VALUES (?, ?, ?, ?)", rows
            )

    def find(self, title: str) -> Article | None:
        """The article of that title, case and spaces aside."""
        return self._by_title.get(_key(title))

    def bearers(self, name: str) -> tuple[str, ...]:
        """The titles of all articles of that name, sorted."""
        return tuple(sorted(self._by_name.get(_key(name), ())))

    def search(self, query: str, *, limit: int = 5) -> list[Article]:
        """At most `limit` articles that hold any word of the query, best first; ties in order of writing.

        Very common words are left out unless there are no others; words after the first 32 are ignored.
        """
        words = list(dict.fromkeys(re.findall(r"\w+", query.casefold())))
        terms = ([word for word in words if word not in _STOP] or words)[:_MAX_TERMS]
        if not terms:
            return []
        match = " OR ".join(f'"{term}"' for term in terms)
        order = (
            f"SELECT rowid FROM articles WHERE articles MATCH ? ORDER BY bm25(articles, {_WEIGHTS}), rowid"
        )
        with self._lock, boundary(EnvironmentFailed, sqlite3.Error, what="the full-text index failed"):
            rows = self._index.execute(f"{order} LIMIT ?", (match, limit)).fetchall()
        return [self.articles[number] for (number,) in rows]


def _key(text: str) -> str:
    return " ".join(text.casefold().split())
