"""What a Dockerfile says of a task: the folder to work in, variables, and files to copy.

For a plain task, all of it can be had without building an image; anything else in the Dockerfile is refused
then. For others only the folder and the variables are read here: building is the sandbox's matter.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trace_gym.core.errors import MalformedData
from trace_gym_envs.parcel import Packed

WORKDIR: Final = "/app"
_LAYING: Final = frozenset({"FROM", "WORKDIR", "COPY", "ENV"})


@dataclass(frozen=True, slots=True)
class Recipe:
    """The last stage of a Dockerfile: `copies` are (source in the build context, absolute target)."""

    workdir: str = WORKDIR
    env: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[tuple[str, str], ...] = ()

    def files(self, context: Path) -> dict[str, Packed]:
        """The copied files, by absolute path without the leading slash."""
        found: dict[str, Packed] = {}
        for source, target in self.copies:
            start = context / source
            if start.is_dir():
                for path in sorted(path for path in start.rglob("*") if path.is_file()):
                    place = os.path.join(target, path.relative_to(start).as_posix())
                    found[_inside(place)] = _packed(path)
            else:
                found[_inside(target + start.name if target.endswith("/") else target)] = _packed(start)
        return found


def read_recipe(path: Path, *, plain: bool) -> Recipe:
    """The recipe in a Dockerfile. Raises MalformedData; for a plain task also where something is to be
    built."""
    workdir, env, copies = "/", dict[str, str](), list[tuple[str, str]]()
    for word, rest in _instructions(path.read_text("utf-8")):
        if plain and word not in _LAYING:
            raise MalformedData(f"{path}: a plain task cannot have the instruction {word}")
        if word == "FROM":
            workdir, env, copies = "/", {}, []
        elif word == "WORKDIR":
            workdir = os.path.normpath(os.path.join(workdir, rest.strip("\"'")))
        elif word == "ENV":
            env |= _variables(rest)
        elif word == "COPY" and plain:
            copies += _copied(rest, workdir, path)
    return Recipe(WORKDIR if workdir == "/" else workdir, env, tuple(copies))


def _instructions(text: str) -> list[tuple[str, str]]:
    """Instructions with what follows them, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    parts = [line.strip().split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(part[0].upper(), part[1] if len(part) > 1 else "") for part in parts]


def _variables(rest: str) -> dict[str, str]:
    words = shlex.split(rest)
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _copied(rest: str, workdir: str, path: Path) -> list[tuple[str, str]]:
    words = shlex.split(rest)
    if len(words) < 2 or any(word.startswith(("-", "[")) for word in words):
        raise MalformedData(f"{path}: a plain task copies with `COPY source target`, got {rest!r}")
    target = os.path.join(workdir, words[-1])
    return [(source, target) for source in words[:-1]]


def _inside(place: str) -> str:
    return os.path.normpath(place).lstrip("/")


def _packed(path: Path) -> Packed:
    return Packed(path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
