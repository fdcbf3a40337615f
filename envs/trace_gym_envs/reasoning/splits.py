"""Which items are for training and which for testing, inside the families that training sees and outside.

A family is a generator, or one of gsm_symbolic's story templates. A quarter of each, chosen by a hash of its
name, is never trained on: subset `out_of_family` of the test split. Of the others the first items of stream 0
are kept for testing: subset `in_family`; training has the rest, in families of seed blocks, and as many
further streams as it has seeds, but no item that asks what a test task asks, wherever it stands (`asked.py`).
Leaves out making the items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Final

from trace_gym.core.errors import BadConfig, unknown
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.tasks import LazyTasks
from trace_gym_envs.reasoning.asked import place_for
from trace_gym_envs.reasoning.generators import ITEMS, category, generators, source

SUITE: Final = "reasoning"
HELD_OUT: Final = 4
KEPT: Final = 1_000
TESTED: Final = 100
BLOCK: Final = 100
IN_FAMILY: Final = "in_family"
OUT_OF_FAMILY: Final = "out_of_family"
STORIES: Final = "gsm_symbolic"
LIMITS: Final = Limits(max_turns=8, step_timeout_s=90.0)


@dataclass(frozen=True, slots=True)
class Row:
    """The items of one generator that are of one kind, by their places in a stream."""

    generator: str
    kind: str
    split: Split
    stream: int
    places: Sequence[int]

    def task(self, number: int) -> Task:
        """The task of the row's item `number`."""
        place = self.places[number]
        if self.split is Split.TRAIN:
            place = place_for(self.generator, self.stream, place, fits=fitting(self.generator, self.stream))
        return Task(
            id=f"{self.generator}/{self.stream}/{place}",
            suite=SUITE,
            split=self.split,
            family=self._family(place),
            subset=self.kind,
            payload={"generator": self.generator, "stream": self.stream, "place": place},
            limits=LIMITS,
        )

    def _family(self, place: int) -> str:
        if self.split is Split.TRAIN:
            return f"{self.generator}/{self.stream}.{place % ITEMS // BLOCK}"
        if self.kind == IN_FAMILY:
            return f"{self.generator}/kept"
        return self.generator if self.generator != STORIES else f"{STORIES}/story {stories(0)[place]}"


def reasoning_tasks(split: Split, *, subset: str, seed: int) -> Sequence[Task]:
    """The tasks of a split, one of each generator in turn.

    `subset` is empty, `in_family`, `out_of_family`, a category or a generator; `seed` names the stream that
    training takes its items from (testing always takes them from stream 0). For testing there are 10 items of
    a kind, 100 where a generator is named. Raises UnknownName, BadConfig.
    """
    if seed < 0:
        raise BadConfig(f"seed must not be negative, got {seed}")
    known = [row for generator in generators() for row in rows(generator, split, seed)]
    labels = [{"", row.kind, row.generator, category(row.generator)} for row in known]
    chosen = [row for row, names in zip(known, labels, strict=True) if subset in names]
    if not chosen:
        raise unknown(f"{SUITE} {split} subset", subset, sorted(set().union(*labels) - {""}))
    height = min(len(row.places) for row in chosen)
    if split is Split.TEST:
        height = TESTED if subset in generators() else 10

    def make(index: int) -> Task:
        number, row = divmod(index, len(chosen))
        return chosen[row].task(number)

    return LazyTasks(height * len(chosen), make)


def held_out(name: str) -> bool:
    """Is the generator, or the story template, of that name never trained on?"""
    digest = blake2b(name.encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") % HELD_OUT == 0


@cache
def stories(stream: int, page: int = 0) -> tuple[int, ...]:
    """The numbers of the story templates of gsm_symbolic's items in a stream, ITEMS a page."""
    return tuple(int(number) for number in source(STORIES, stream).page(page).task_indices)


def fitting(generator: str, stream: int) -> Callable[[int], bool]:
    """May training take the item at a place? Of gsm_symbolic, where its story is not held out."""

    def fits(place: int) -> bool:
        page, at = divmod(place, ITEMS)
        return generator != STORIES or not held_out(f"story {stories(stream, page)[at]}")

    return fits


def rows(generator: str, split: Split, seed: int) -> Iterator[Row]:
    """The rows of a generator in a split that have items."""
    stream = seed if split is Split.TRAIN else 0
    places = range(KEPT, ITEMS) if split is Split.TRAIN else range(KEPT)
    for kind in (IN_FAMILY,) if split is Split.TRAIN else (IN_FAMILY, OUT_OF_FAMILY):
        outside = kind == OUT_OF_FAMILY
        if generator == STORIES:
            found = _told(stream, places, outside=outside)
            yield Row(generator, kind, split, stream, found)
        elif held_out(generator) is outside:
            yield Row(generator, kind, split, stream, places)


@cache
def _told(stream: int, places: range, *, outside: bool) -> Sequence[int]:
    """The places whose story template is held out, or is not."""
    told = stories(stream)
    return tuple(place for place in places if held_out(f"story {told[place]}") is outside)
