"""Invented words, no two alike over all worlds: every world draws from a share of its own.

A word is onset + vowel + middle + vowel + coda. Consonant and vowel runs alternate, so a spelling splits in
one way only and different numbers give different words. Leaves out how words become names (see world).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

WORLDS: Final = 120
"""How many worlds can have words of their own."""

_ONSETS: Final = "b br c cr d dr f fl g gr h j k l m n p pr r s st t tr v"
_VOWELS: Final = "a e i o u ai"
_MIDDLES: Final = (
    "b bl br ck d dr f ft g gl k kr l lb ld lk lm ln lt lv m mb mm n nd ng nk nn nt p pr r rd rk rl rm rn rt"
    " s st"
)
_CODAS: Final = "b ck d f g k l ll m n nd ng r rn rt s sk st t x"
_PARTS: Final = tuple(part.split() for part in (_ONSETS, _VOWELS, _MIDDLES, _VOWELS, _CODAS))
_COUNT: Final = prod(len(part) for part in _PARTS)
_STRIDE: Final = 263_167  # coprime to _COUNT: neighbours in number are far apart in spelling


def word(number: int) -> str:
    """The word of `number`; one to one for 0 <= number < 691,200."""
    code = number * _STRIDE % _COUNT
    spelled = []
    for part in _PARTS:
        code, at = divmod(code, len(part))
        spelled.append(part[at])
    return "".join(spelled).capitalize()


def words(world: int) -> Iterator[str]:
    """The 5,760 words that belong to world number `world`; ValueError if there is no such world."""
    if not 0 <= world < WORLDS:
        raise ValueError(f"a world's number lies in 0..{WORLDS - 1}, got {world}")
    share = _COUNT // WORLDS
    return (word(number) for number in range(world * share, (world + 1) * share))
