"""Writes which questions testing asks, where training turns: `python -m trace_gym_envs.reasoning.generate`.

Makes every item of stream 0 once, which takes most of an hour; generators may be named, and then only theirs
are made and the rest of the file stays. Everything is decided by the package of generators alone. Leaves out
reading the file (`asked.py`).
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Collection, Iterable

from trace_gym.core.task import Split
from trace_gym_envs.reasoning.asked import FILE, digest, first_unasked
from trace_gym_envs.reasoning.generators import ITEMS, generators, source
from trace_gym_envs.reasoning.splits import TESTED, Row, fitting, rows


def training(generator: str) -> Row | None:
    """The items of stream 0 that training has of a generator, before any is left out."""
    return next(rows(generator, Split.TRAIN, 0), None)


def questions(generator: str) -> list[str]:
    """The digests of all that testing can ask of a generator, each once, in order."""
    places = [place for row in rows(generator, Split.TEST, 0) for place in row.places[:TESTED]]
    return sorted({digest(source(generator, 0).item(place).question) for place in places})


def detours(generator: str, places: Iterable[int], known: Collection[str]) -> dict[int, int]:
    """Which of some places training does not take, and those that it takes instead."""
    fits = fitting(generator, 0)
    found = ((place, first_unasked(generator, 0, place, known=known, fits=fits)) for place in places)
    return {place: other for place, other in found if other != place}


def paged(found: dict[int, int]) -> list[list[int]]:
    """Detours as the file holds them: the places that lead one page of items on, those that lead two, ..."""
    pages = [(other - place) // ITEMS for place, other in found.items()]
    return [
        [place for place, page in zip(found, pages, strict=True) if page == number]
        for number in range(1, max(pages, default=0) + 1)
    ]


def main() -> None:
    """Write the file."""
    parser = ArgumentParser(description="Find the training items whose questions testing asks.")
    parser.add_argument("generators", nargs="*")
    chosen = parser.parse_args().generators
    content = json.loads(FILE.read_text(encoding="ascii")) if chosen else {"asked": {}, "moved": {}}
    for generator in chosen or generators():
        row = training(generator)
        if row is None:
            continue
        known = questions(generator)
        content["asked"][generator] = "".join(known)
        content["moved"][generator] = paged(detours(generator, row.places, known))
    FILE.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
