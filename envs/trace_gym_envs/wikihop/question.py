"""Questions over a world: a start entity, one to five relations to follow, and exactly one chain that fits.

Answers are drawn first (evenly over kinds, then over entities) and chains walked backwards from them, so no
answer is much likelier than another. Leaves out the wording (see prose).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, Final

from trace_gym_envs.wikihop.kinds import KINDS
from trace_gym_envs.wikihop.relations import RELATIONS
from trace_gym_envs.wikihop.world import Link, World, world

MAX_HOPS: Final = 5


@dataclass(frozen=True, slots=True)
class Hop:
    """One relation to follow, as the question words it; `trait` (a number) qualifies the target, if given."""

    relation: int
    phrase: int
    trait: int | None

    def fits(self, link: Link, target_trait: int) -> bool:
        """Does the link state this relation, of a target with the trait asked for?"""
        return link.relation == self.relation and self.trait in (None, target_trait)


@dataclass(frozen=True, slots=True)
class Question:
    """`chain[0]` is the start, `chain[i]` what hop i leads to, `chain[-1]` the answer."""

    world: str
    hops: tuple[Hop, ...]
    chain: tuple[int, ...]

    def payload(self) -> dict[str, Any]:
        """The question as JSON data."""
        hops = [[hop.relation, hop.phrase, hop.trait] for hop in self.hops]
        return {"world": self.world, "hops": hops, "chain": list(self.chain)}

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Question:
        """The question that `payload` wrote down."""
        hops = tuple(Hop(relation, phrase, trait) for relation, phrase, trait in payload["hops"])
        return cls(payload["world"], hops, tuple(payload["chain"]))


def draw(world_name: str, number: int) -> Question:
    """Question `number` (any integer >= 0) of a world: number mod 5 + 1 hops, the answers' kinds in turn."""
    here = world(world_name)
    rng = Random(f"wikihop/{world_name}/{number}")
    length = number % MAX_HOPS + 1
    kind = number // MAX_HOPS % len(KINDS)
    answers = _answers(world_name, kind)
    while True:
        walked = _walk_back(here, rng.choice(answers), length, rng)
        if walked is None:
            continue
        chain, links = walked
        hops = _ask(here, chain, links, rng)
        if hops is not None:
            return Question(world_name, hops, chain)


@lru_cache(maxsize=4096)
def _answers(world_name: str, kind: int) -> tuple[int, ...]:
    """The entities of a kind that a fact leads to."""
    here = world(world_name)
    return tuple(e.number for e in here.entities if e.kind == kind and here.incoming[e.number])


def _walk_back(
    here: World, answer: int, length: int, rng: Random
) -> tuple[tuple[int, ...], list[Link]] | None:
    """A chain of `length` facts that ends in `answer` and meets no entity twice."""
    chain, links = [answer], list[Link]()
    for _ in range(length):
        sources = [(s, place) for s, place in here.incoming[chain[0]] if s not in chain]
        if not sources:
            return None
        source, place = rng.choice(sources)
        chain.insert(0, source)
        links.insert(0, here.links[source][place])
    return tuple(chain), links


def _ask(here: World, chain: Sequence[int], links: Sequence[Link], rng: Random) -> tuple[Hop, ...] | None:
    """Hops, with the qualifiers that are needed, such that the chain alone fits; None if that cannot be."""
    hops = list[Hop]()
    omitted = list[Hop]()
    for source, link in zip(chain, links, strict=False):
        assert link.relation is not None
        phrase = rng.choices(range(len(RELATIONS[link.relation].phrases)), here.level.phrases)[0]
        rivals = sum(other.relation == link.relation for other in here.links[source])
        qualified = rivals > 1 or rng.random() < here.level.spare
        trait = here.entities[link.target].trait if qualified else None
        hops.append(Hop(link.relation, phrase, trait))
        left_out = trait is None or rng.random() < here.level.omitted
        omitted.append(Hop(link.relation, phrase, None if left_out else trait))
    for asked in (tuple(omitted), tuple(hops)):
        if count_chains(here, chain[0], asked) == 1:
            return asked
    return None


def count_chains(here: World, start: int, hops: Sequence[Hop]) -> int:
    """How many chains of links from `start` fit all the hops."""
    ends = {start: 1}
    for hop in hops:
        onward: dict[int, int] = {}
        for entity, ways in ends.items():
            for link in here.links[entity]:
                if hop.fits(link, here.entities[link.target].trait):
                    onward[link.target] = onward.get(link.target, 0) + ways
        ends = onward
    return sum(ends.values())
