"""A custom split of a suite's tasks into train and test by family, sealed: written down with hashes, so that
it is the same for everybody and cannot change unnoticed.

Leaves out whether the two sides are really different: see `audit`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trace_gym.core.errors import BadConfig, boundary
from trace_gym.core.files import new_file
from trace_gym.core.task import Split, Task

VERSION = 1


@dataclass(frozen=True, slots=True)
class Seal:
    """Which family of `suite` is on which side. `content` is the digest of the tasks it was made from, `of`
    the suite's own split they came from ("all": both); `hash` that of all the rest."""

    suite: str
    of: str
    families: Mapping[str, Split]
    content: str

    @property
    def hash(self) -> str:
        """The digest of everything the seal says."""
        return _digest([VERSION, self.suite, self.of, self.content, sorted(self.families.items())])

    def tasks(self, everything: Sequence[Task], split: Split) -> list[Task]:
        """Those of the tasks it was made from that are on one side, as tasks of that split. Raises BadConfig
        where they are not the tasks it was made from."""
        own = [task for task in everything if self.of in ("all", task.split)]
        if content_of(own) != self.content:
            raise BadConfig(
                f"the tasks of suite {self.suite!r} are not those that were sealed: seal them again, or go "
                "back to the version, options and subset it was sealed with"
            )
        return [replace(task, split=split) for task in own if self.families[task.family] is split]


def sealed(suite: str, tasks: Sequence[Task], *, of: str, test: float, seed: int) -> Seal:
    """A new seal: a share `test` of the families, drawn by `seed`, is held out; at least one family is on
    either side. Raises BadConfig where that cannot be."""
    own = [task for task in tasks if of in ("all", task.split)]
    families = sorted({task.family for task in own})
    if len(families) < 2:
        raise BadConfig(
            f"suite {suite!r} has {len(families)} families there: none can be held out from the rest"
        )
    if not 0 < test < 1:
        raise BadConfig(f"the share of families that is held out lies between 0 and 1, got {test}")
    order = sorted(families, key=lambda family: _digest([seed, family]))
    held_out = set(order[: min(len(families) - 1, max(1, round(test * len(families))))])
    sides = {family: Split.TEST if family in held_out else Split.TRAIN for family in families}
    return Seal(suite, of, sides, content_of(own))


def content_of(tasks: Iterable[Task]) -> str:
    """The digest of tasks, whatever their order and their split."""
    records = [
        json.dumps([task.id, task.family, task.seed, task.subset, dict(task.payload)], sort_keys=True)
        for task in tasks
    ]
    return _digest(sorted(records))


def write_seal(seal: Seal, path: Path) -> None:
    """Write it to a new file. Raises BadConfig."""
    sides = {
        str(split): sorted(family for family, side in seal.families.items() if side is split)
        for split in Split
    }
    record = {
        "trace_gym_split": VERSION,
        "suite": seal.suite,
        "of": seal.of,
        **sides,
        "content": seal.content,
        "hash": seal.hash,
    }
    with boundary(BadConfig, OSError, what=f"the split cannot be written to {path}"), new_file(path) as file:
        file.write(json.dumps(record, indent=1) + "\n")


def read_seal(path: Path) -> Seal:
    """Read a sealed split. Raises BadConfig for a file that is none, or that was changed since."""
    with boundary(BadConfig, OSError, ValueError, what=f"{path} is not a sealed split"):
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    try:
        version = data["trace_gym_split"]
        if version != VERSION:
            raise BadConfig(f"{path} is a split of version {version}, this trace-gym reads {VERSION}")
        sides = {family: split for split in Split for family in data[split]}
        seal = Seal(data["suite"], data["of"], sides, data["content"])
        said = data["hash"]
    except (KeyError, TypeError) as error:
        raise BadConfig(f"{path} is not a sealed split: {error!r}") from error
    if seal.hash != said or len(sides) != sum(len(data[split]) for split in Split):
        raise BadConfig(
            f"{path} was changed after it was sealed: its hash does not fit; seal the split again"
        )
    return seal


def _digest(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
