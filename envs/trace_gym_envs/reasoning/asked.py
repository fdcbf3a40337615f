"""Which questions testing asks, and where training turns instead of asking them too.

Many generators have few questions, so that a place of a stream may hold what a test task asks. Training then
takes the item that many whole streams of places further on, in that stream, or the next one there. For stream
0, which is listed at once, `asked.json` holds where that leads; for other streams it is found out when a task
is asked for. Leaves out which items testing has (`splits.py`), and writing the file (`generate.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from trace_gym.core.errors import EnvironmentFailed
from trace_gym_envs.reasoning.generators import ITEMS, STREAM, source

FILE: Final = Path(__file__).with_name("asked.json")
_DIGITS: Final = 12


def digest(question: str) -> str:
    """What stands for a question in the file: the same for all that differ in spaces and case alone."""
    words = " ".join(question.lower().split())
    return blake2b(words.encode("utf-8", "surrogatepass"), digest_size=_DIGITS // 2).hexdigest()


@cache
def asked(generator: str) -> frozenset[str]:
    """The digests of a generator's questions in the test split."""
    joined: str = _file()["asked"].get(generator, "")
    return frozenset(joined[at : at + _DIGITS] for at in range(0, len(joined), _DIGITS))


@cache
def moved(generator: str) -> Mapping[int, int]:
    """The places of stream 0 that training does not take, and the places it takes instead."""
    pages: list[list[int]] = _file()["moved"].get(generator, [])
    return {place: place + ITEMS * page for page, places in enumerate(pages, start=1) for place in places}


def place_for(generator: str, stream: int, place: int, *, fits: Callable[[int], bool]) -> int:
    """The place that training takes for a place of its own; `fits` says which may be taken instead."""
    if stream == 0:
        return moved(generator).get(place, place)
    return first_unasked(generator, stream, place, known=asked(generator), fits=fits)


def first_unasked(
    generator: str, stream: int, place: int, *, known: Collection[str], fits: Callable[[int], bool]
) -> int:
    """The first place, whole streams of items after `place`, that holds an item and none that is `known`."""
    for found in range(place, STREAM, ITEMS):
        if fits(found) and not _is_known(generator, stream, found, known):
            return found
    raise EnvironmentFailed(f"{generator}: stream {stream} holds nothing but test questions at place {place}")


@cache
def _file() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(FILE.read_text(encoding="ascii"))
    return content


def _is_known(generator: str, stream: int, place: int, known: Collection[str]) -> bool:
    """Is the item there a known question, or none at all?"""
    try:
        return digest(source(generator, stream).item(place).question) in known
    except EnvironmentFailed:
        return True
