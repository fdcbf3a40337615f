"""Kinds of things in the generated encyclopedia, and the traits that tell things of one kind apart.

The same in all worlds. Leaves out the relations between kinds (see relations).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing: its noun, the pronoun that clauses about it begin with, and its traits as noun
    phrases."""

    noun: str
    pronoun: str
    traits: tuple[str, ...]


KINDS: Final = (
    Kind("person", "who", ("painter", "physician", "engineer", "novelist", "botanist", "composer")),
    Kind(
        "city",
        "that",
        ("port city", "mining town", "spa town", "market town", "fortress town", "island town"),
    ),
    Kind("company", "that", ("shipyard", "brewery", "printing press", "foundry", "airline", "cotton mill")),
    Kind("work", "that", ("novel", "opera", "atlas", "film", "ballad", "almanac")),
    Kind(
        "school",
        "that",
        ("academy", "conservatory", "seminary", "polytechnic", "lyceum", "observatory school"),
    ),
    Kind(
        "club",
        "that",
        ("rowing club", "chess club", "football club", "fencing club", "cycling club", "sailing club"),
    ),
)

NOUNS: Final = tuple(kind.noun for kind in KINDS)


def symbol(trait: str) -> str:
    """The one-word name of a trait: the first word of its noun phrase. Unique over all kinds."""
    return trait.split()[0]
