"""The texts of a generated encyclopedia: its articles and the wording of questions over it.

Leaves out storing and finding articles (see library).
"""

from __future__ import annotations

from trace_gym_envs.wikihop.kinds import KINDS
from trace_gym_envs.wikihop.library import Article
from trace_gym_envs.wikihop.question import Hop, Question
from trace_gym_envs.wikihop.relations import RELATIONS
from trace_gym_envs.wikihop.world import Entity, Link, World


def article(here: World, number: int) -> Article:
    """The article about an entity. Links stand as [[title]]; a mention by alias is plain text."""
    entity = here.entities[number]
    facts = [sentence(here, entity, link) for link in here.links[number] if link.relation is not None]
    aside = [mention(here, link) for link in here.links[number] if link.relation is None]
    tail = [f"See also: {', '.join(aside)}."] if aside else []
    return Article(entity.title, entity.name, lead(entity), " ".join([*facts, *tail]))


def lead(entity: Entity) -> str:
    """The first sentence of its article: name, alias, trait."""
    known = f", also known as {entity.alias}," if entity.alias else ""
    trait = entity.trait_phrase
    return f"{entity.name}{known} is {'an' if trait[0] in 'aeiou' else 'a'} {trait}."


def sentence(here: World, subject: Entity, link: Link) -> str:
    """The fact that a link states; ValueError for a link without one."""
    if link.relation is None:
        raise ValueError("a see-also link states no fact")
    phrase = RELATIONS[link.relation].phrases[link.phrase]
    return phrase.sentence.format(s=subject.name, o=mention(here, link))


def mention(here: World, link: Link) -> str:
    """How an article mentions a link's target."""
    target = here.entities[link.target]
    return target.alias if link.by_alias and target.alias else f"[[{target.title}]]"


def ask(here: World, question: Question) -> str:
    """The question in words; a start whose name is shared is told apart by its trait."""
    start = here.entities[question.chain[0]]
    shared = len(here.namesakes[start.name]) > 1
    described = f"the {start.trait_phrase} {start.name}" if shared else start.name
    for hop in question.hops[:-1]:
        described = f"the {_who(hop, described, with_pronoun=True)}"
    return f"Which {_who(question.hops[-1], described, with_pronoun=False)}?"


def _who(hop: Hop, described: str, *, with_pronoun: bool) -> str:
    """Noun and clause for what a hop leads to, from what is `described`."""
    relation = RELATIONS[hop.relation]
    kind = next(kind for kind in KINDS if kind.noun == relation.object)
    noun = kind.noun if hop.trait is None else kind.traits[hop.trait]
    clause = relation.phrases[hop.phrase].clause.format(s=described)
    return f"{noun} {kind.pronoun} {clause}" if with_pronoun else f"{noun} {clause}"
