"""A world: the entities of one generated encyclopedia and the links between them, built from its name alone.

Worlds share the schema (kinds, relations) and nothing else: each has words of its own. Leaves out texts
(see prose), full-text search (see library) and questions (see question).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from random import Random
from types import MappingProxyType
from typing import Final

from trace_gym.core.errors import unknown
from trace_gym.core.task import Split
from trace_gym_envs.wikihop.kinds import KINDS, NOUNS
from trace_gym_envs.wikihop.names import words
from trace_gym_envs.wikihop.relations import RELATIONS, relations_of

WORLDS: Final[Mapping[Split, int]] = MappingProxyType({Split.TRAIN: 12, Split.TEST: 12})
"""How many worlds a split has, per level."""

MAX_LINKS: Final = 9

_SHARES: Final = (0.25, 0.17, 0.17, 0.14, 0.15, 0.12)
_FORMS: Final = (
    ("{} {}",),
    ("{}", "Upper {}", "{} Bay"),
    ("{} & Sons", "House of {}"),
    ("Songs of {}", "The {} Letters", "A Winter in {}"),
    ("{} Hall", "{} College"),
    ("{} Rovers", "{} United"),
)


@dataclass(frozen=True, slots=True)
class Level:
    """How hard the worlds of a level are. Shares are probabilities.

    `absent`: a relation of an article has no link; `stubs`: an article has none at all; `counts`: weights of
    1, 2, 3 links where there are some; `see_also`: most links without a fact; `phrases`: weights of a
    relation's phrasings; `namesakes`: an entity shares its name; `aliases`: an entity has one, and a mention
    uses it; `omitted`: a question leaves out a qualifier that a later hop makes up for; `spare`: it adds one
    that is not needed.
    """

    absent: float = 0.12
    stubs: float = 0.03
    counts: tuple[float, ...] = (0.55, 0.3, 0.15)
    see_also: int = 2
    phrases: tuple[float, ...] = (0.4, 0.3, 0.22, 0.08)
    namesakes: float = 0.45
    aliases: float = 0.35
    omitted: float = 0.3
    spare: float = 0.15
    entities: int = 2400


LEVELS: Final[Mapping[str, Level]] = MappingProxyType(
    {
        "standard": Level(),
        "gentle": Level(
            absent=0.05,
            stubs=0.0,
            counts=(0.85, 0.15, 0.0),
            see_also=1,
            phrases=(0.7, 0.25, 0.05, 0.0),
            namesakes=0.2,
            aliases=0.1,
            omitted=0.0,
        ),
        "clear": Level(
            absent=0.3,
            stubs=0.0,
            counts=(1.0, 0.0, 0.0),
            see_also=1,
            phrases=(1.0, 0.0, 0.0, 0.0),
            namesakes=0.1,
            aliases=0.0,
            omitted=0.0,
            spare=0.0,
            entities=1200,
        ),
        "plain": Level(
            absent=0.25,
            stubs=0.0,
            counts=(0.9, 0.1, 0.0),
            see_also=1,
            phrases=(0.9, 0.1, 0.0, 0.0),
            namesakes=0.15,
            aliases=0.0,
            omitted=0.0,
            spare=0.0,
            entities=1200,
        ),
        "hard": Level(
            absent=0.2,
            stubs=0.06,
            counts=(0.35, 0.35, 0.3),
            see_also=3,
            phrases=(0.3, 0.25, 0.25, 0.2),
            namesakes=0.7,
            aliases=0.6,
            omitted=0.6,
            spare=0.05,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing and its article's title. `kind` numbers KINDS, `trait` that kind's traits; `name` may be
    shared by others, `title` and `alias` are its own."""

    number: int
    kind: int
    trait: int
    name: str
    title: str
    alias: str | None

    @property
    def trait_phrase(self) -> str:
        """Its trait in words."""
        return KINDS[self.kind].traits[self.trait]


@dataclass(frozen=True, slots=True)
class Link:
    """A link of an article: relation and phrasing by number (relation None: states no fact), the target
    entity, and whether the article mentions it by its alias, without naming the title."""

    relation: int | None
    phrase: int
    target: int
    by_alias: bool


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Entities by number; `links[e]` are those of e's article; `incoming[e]` are (source, place in the
    source's links) of the facts about e; `namesakes` maps a name to those who bear it."""

    name: str
    level: Level
    entities: tuple[Entity, ...]
    links: tuple[tuple[Link, ...], ...]
    incoming: tuple[tuple[tuple[int, int], ...], ...]
    namesakes: Mapping[str, tuple[int, ...]]


def world_names(split: Split, level: str = "standard") -> tuple[str, ...]:
    """The names of a split's worlds, such as `standard-test-03`."""
    if level not in LEVELS:
        raise unknown("wikihop level", level, list(LEVELS))
    return tuple(f"{level}-{split.value}-{i:02d}" for i in range(WORLDS[split]))


@lru_cache(maxsize=96)
def world(name: str) -> World:
    """The world of that name. The same object for everybody: a memo of a pure function of the name."""
    level_name = name.partition("-")[0]
    if level_name not in LEVELS:
        raise unknown("wikihop level", level_name, list(LEVELS))
    known = [n for split in Split for n in world_names(split, level_name)]
    if name not in known:
        raise unknown("wikihop world", name, known)
    number = list(LEVELS).index(level_name) * len(known) + known.index(name)
    level = LEVELS[level_name]
    rng = Random(f"wikihop/{name}")
    entities = _people(level, number, rng)
    links = _link(level, entities, rng)
    incoming: list[list[tuple[int, int]]] = [[] for _ in entities]
    for source, outgoing in enumerate(links):
        for place, link in enumerate(outgoing):
            if link.relation is not None:
                incoming[link.target].append((source, place))
    namesakes: dict[str, tuple[int, ...]] = {}
    for entity in entities:
        namesakes[entity.name] = (*namesakes.get(entity.name, ()), entity.number)
    shuffled = {name: tuple(rng.sample(group, len(group))) for name, group in namesakes.items()}
    return World(name, level, entities, links, tuple(map(tuple, incoming)), shuffled)


def _people(level: Level, number: int, rng: Random) -> tuple[Entity, ...]:
    """Entities with kinds, traits, names and titles; those who share a name differ in their trait."""
    vocabulary = words(number)
    first_names = list(islice(vocabulary, 90))
    kinds = rng.choices(range(len(KINDS)), _SHARES, k=level.entities)
    traits = [rng.randrange(len(KINDS[kind].traits)) for kind in kinds]
    names = [_name(kind, vocabulary, first_names, rng) for kind in kinds]
    for group in _groups(level, list(zip(kinds, traits, strict=True)), rng):
        shared = names[group[0]] if kinds[group[0]] == NOUNS.index("person") else next(vocabulary)
        for member in group:
            names[member] = shared
    bearers: dict[str, int] = {}
    for name in names:
        bearers[name] = bearers.get(name, 0) + 1
    entities = []
    for e, (kind, trait, name) in enumerate(zip(kinds, traits, names, strict=True)):
        title = name if bearers[name] == 1 else f"{name} ({KINDS[kind].traits[trait]})"
        alias = _name(kind, vocabulary, first_names, rng) if rng.random() < level.aliases else None
        entities.append(Entity(e, kind, trait, name, title, alias))
    return tuple(entities)


def _name(kind: int, vocabulary: Iterator[str], first_names: Sequence[str], rng: Random) -> str:
    form = rng.choice(_FORMS[kind])
    return (
        form.format(rng.choice(first_names), next(vocabulary)) if kind == 0 else form.format(next(vocabulary))
    )


def _groups(level: Level, looks: Sequence[tuple[int, int]], rng: Random) -> Iterator[list[int]]:
    """Disjoint groups of 2 to 4 entities of different (kind, trait), a share `namesakes` of all together."""
    sharing = rng.sample(range(len(looks)), round(level.namesakes * len(looks)))
    at = 0
    while at < len(sharing):
        size = rng.randint(2, 4)
        members = {looks[e]: e for e in sharing[at : at + size]}
        at += size
        if len(members) > 1:
            yield list(members.values())


def _link(level: Level, entities: Sequence[Entity], rng: Random) -> tuple[tuple[Link, ...], ...]:
    """The links of every article, in the order in which it shows them."""
    of_kind = [[e.number for e in entities if e.kind == kind] for kind in range(len(KINDS))]
    objects = [of_kind[NOUNS.index(relation.object)] for relation in RELATIONS]
    everyone = range(len(entities))
    phrases = range(len(level.phrases))
    articles = []
    for entity in entities:
        targets: dict[int, int | None] = {}
        if rng.random() >= level.stubs:
            for relation in relations_of(NOUNS[entity.kind]):
                if rng.random() >= level.absent:
                    count = rng.choices(range(1, 1 + len(level.counts)), level.counts)[0]
                    for target in rng.sample(objects[relation], count):
                        targets.setdefault(target, relation)
        for target in rng.sample(everyone, rng.randint(0, level.see_also)):
            targets.setdefault(target, None)
        targets.pop(entity.number, None)
        links = [
            Link(
                relation,
                0 if relation is None else rng.choices(phrases, level.phrases)[0],
                target,
                entities[target].alias is not None and rng.random() < level.aliases,
            )
            for target, relation in targets.items()
        ]
        articles.append(tuple(rng.sample(links, min(len(links), MAX_LINKS))))
    return tuple(articles)
