"""The tasks of the prose suite: over generated worlds, as many as one likes, or from a user's file.

Families: a generated world is one; in a file, all questions that are connected through shared supporting
titles are one, so that nothing to be found out is in both splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Final

from trace_gym.core.errors import unknown
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.tasks import LazyTasks
from trace_gym_envs.wikihop.assignment import record_payload
from trace_gym_envs.wikihop.formats import Record, read_records
from trace_gym_envs.wikihop.question import MAX_HOPS, draw
from trace_gym_envs.wikihop.world import world_names

PER_WORLD: Final[Mapping[Split, int]] = MappingProxyType({Split.TRAIN: 4000, Split.TEST: 1500})
"""Questions per generated world: 48,000 for training, 18,000 for testing, per level."""

SUBSETS: Final = tuple(f"{hops}-hop" for hops in range(1, MAX_HOPS + 1))

_TEST_SHARE: Final = 0.2


def generated_tasks(suite: str, split: Split, *, level: str, subset: str) -> Sequence[Task]:
    """Questions over the worlds of a split and level, the worlds in turn; `subset` "" takes all lengths.

    Raises UnknownName.
    """
    if subset and subset not in SUBSETS:
        raise unknown(f"{suite} subset", subset, SUBSETS)
    names = world_names(split, level)

    def make(index: int) -> Task:
        number, at = divmod(index, len(names))
        if subset:
            number = number * MAX_HOPS + SUBSETS.index(subset)
        return _generated(suite, split, names[at], number)

    return LazyTasks(PER_WORLD[split] // (MAX_HOPS if subset else 1) * len(names), make)


def file_tasks(suite: str, split: Split, *, path: str, subset: str) -> Sequence[Task]:
    """The questions of a user's file that belong to a split.

    A `{split}` in the path stands for `train` or `test` and takes each file whole. Otherwise one file is
    divided by family, about 80 to 20, the same way each time. `subset`: hotpotqa, 2wiki or musique.
    Raises MalformedData, UnknownName.
    """
    whole = "{split}" in path
    records = read_records(Path(path.replace("{split}", split.value)))
    families = _families(records)
    chosen = [(r, f) for r, f in zip(records, families, strict=True) if whole or _side(f) is split]
    if subset:
        known = sorted({record.source for record, _ in chosen})
        chosen = [(record, family) for record, family in chosen if record.source == subset]
        if not chosen:
            raise unknown(f"{suite} {split} subset", subset, known)
    prefix = f"{split.value}:" if whole else ""
    return LazyTasks(len(chosen), lambda index: _given(suite, split, *chosen[index], prefix=prefix))


def _generated(suite: str, split: Split, name: str, number: int) -> Task:
    question = draw(name, number)
    hops = len(question.hops)
    return Task(
        id=f"{name}/{number}",
        suite=suite,
        split=split,
        family=name,
        seed=number,
        subset=SUBSETS[hops - 1],
        payload=question.payload(),
        limits=Limits(max_turns=4 * hops + 4),
    )


def _given(suite: str, split: Split, record: Record, family: str, *, prefix: str) -> Task:
    return Task(
        id=f"{record.source}/{record.id}",
        suite=suite,
        split=split,
        family=prefix + family,
        subset=record.source,
        payload=record_payload(record),
        limits=Limits(max_turns=4 * len(record.support) + 4),
    )


def _families(records: Sequence[Record]) -> list[str]:
    """For every record the first title, in alphabetical order, of all that its supporting titles connect."""
    root: dict[str, str] = {}

    def find(title: str) -> str:
        while root.setdefault(title, title) != title:
            root[title] = root[root[title]]
            title = root[title]
        return title

    for record in records:
        for title in record.support:
            one, other = sorted((find(record.support[0]), find(title)))
            root[other] = one
    return [find(record.support[0]) for record in records]


def _side(family: str) -> Split:
    share = int.from_bytes(blake2b(family.encode("utf-8", "replace"), digest_size=4).digest(), "big") / 2**32
    return Split.TEST if share < _TEST_SHARE else Split.TRAIN
