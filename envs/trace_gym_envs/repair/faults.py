"""Faults that have been verified: the index of mutants, and the package that each of them makes.

The index is written by `python -m trace_gym_envs.repair.generate`. Leaves out how mutants are found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from trace_gym.core.errors import MalformedData
from trace_gym_envs.repair.code import Edit
from trace_gym_envs.repair.projects import project

INDEX: Final = Path(__file__).parent / "mutants.json"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A project with one fault in it. `old` is what stood at `edit`; `failing` are the tests, of those that
    are shown, that fail with it."""

    project: str
    path: str
    operator: str
    edit: Edit
    old: str
    failing: tuple[str, ...]

    @property
    def id(self) -> str:
        """Unique, and the same as long as the fault is."""
        text = f"{self.path}\0{self.edit.start}\0{self.old}\0{self.edit.text}"
        return f"{self.project}/{self.operator}/{blake2b(text.encode(), digest_size=4).hexdigest()}"

    @property
    def source(self) -> str:
        """The faulty text of the file."""
        return self.edit.applied(project(self.project).sources[self.path])

    def sources(self) -> dict[str, str]:
        """All sources of the faulty package."""
        return {**project(self.project).sources, self.path: self.source}

    def json(self) -> dict[str, Any]:
        """The mutant as JSON data; `of` reads it back."""
        return {
            "path": self.path,
            "operator": self.operator,
            "start": self.edit.start,
            "old": self.old,
            "new": self.edit.text,
            "failing": list(self.failing),
        }

    @classmethod
    def of(cls, name: str, data: Mapping[str, Any]) -> Mutant:
        """The mutant of a project that `json` wrote."""
        edit = Edit(data["start"], data["start"] + len(data["old"]), data["new"])
        return cls(name, data["path"], data["operator"], edit, data["old"], tuple(data["failing"]))


@cache
def mutants(name: str) -> tuple[Mutant, ...]:
    """The verified mutants of a project. Raises MalformedData where the index does not belong to its
    files."""
    index = json.loads(INDEX.read_text("utf-8"))
    if index[name]["digest"] != project(name).digest:
        raise MalformedData(
            f"{INDEX.name} was written for other files of project {name!r}: run "
            "`python -m trace_gym_envs.repair.generate`"
        )
    return tuple(Mutant.of(name, data) for data in index[name]["mutants"])
