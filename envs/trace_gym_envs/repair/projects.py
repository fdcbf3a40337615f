"""The bundled packages: their sources, the tests that are shown, and the cases that are held out.

Everything is read once and is the same for every task. Leaves out the faults (see `faults`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

from trace_gym.core.errors import unknown
from trace_gym.core.task import Split

TEST_PROJECTS: Final = ("graphs", "money", "pages", "routes")
TRAIN_PROJECTS: Final = ("cache", "calc", "dates", "ini", "jobs", "layout", "matrix", "spans")


@dataclass(frozen=True, slots=True)
class Project:
    """A package with its tests. All maps lead from paths relative to the workspace to texts: `sources` may be
    changed, `fixed` (tests that are shown, the description) may not; `held_out` never enters a workspace."""

    name: str
    sources: Mapping[str, str]
    fixed: Mapping[str, str]
    held_out: Mapping[str, str]

    @property
    def workspace(self) -> dict[str, str]:
        """What a workspace holds before a fault is injected."""
        return {**self.sources, **self.fixed}

    @property
    def shown(self) -> dict[str, str]:
        """The test files among the fixed ones."""
        return {path: text for path, text in self.fixed.items() if path.startswith("tests/")}

    @property
    def digest(self) -> str:
        """Sixteen characters that change with any of its files."""
        hashed = blake2b(digest_size=8)
        for part in (self.sources, self.fixed, self.held_out):
            for path, text in sorted(part.items()):
                hashed.update(f"{path}\0{text}\0".encode())
        return hashed.hexdigest()


def names(split: Split) -> tuple[str, ...]:
    """The projects of a split, sorted: a project is a family."""
    return TEST_PROJECTS if split is Split.TEST else TRAIN_PROJECTS


@cache
def project(name: str) -> Project:
    """A bundled project. Raises UnknownName."""
    known = TRAIN_PROJECTS + TEST_PROJECTS
    if name not in known:
        raise unknown("repair project", name, known)
    root = Path(__file__).parent / "bundle" / name
    found: dict[str, str] = {}
    for folder in sorted(root.iterdir(), key=lambda entry: entry.name):
        if folder.is_file():
            found[folder.name] = folder.read_text("utf-8")
            continue
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith(".py"):
                found[f"{folder.name}/{entry.name}"] = entry.read_text("utf-8")
    held_out = {path: text for path, text in found.items() if path.startswith("held_out/")}
    fixed = {path: text for path, text in found.items() if path.startswith("tests/") or path == "README.md"}
    sources = {path: text for path, text in found.items() if path not in held_out and path not in fixed}
    return Project(name, sources, fixed, held_out)
