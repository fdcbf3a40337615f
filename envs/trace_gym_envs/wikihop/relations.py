"""Relations between kinds of things: 24, each in four phrasings of which the fourth is rare and oblique.

A phrasing is at once a symbol (for the compact rendering), a sentence (for articles) and a clause (for
questions). The same in all worlds. Leaves out how often each phrasing is used (see world).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrasing of a relation between a subject {s} and an object {o}: `sentence` states it in the
    subject's article, `clause` describes the object in a question, after its noun and pronoun."""

    symbol: str
    sentence: str
    clause: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation from one kind to another (their nouns), with its phrasings."""

    name: str
    subject: str
    object: str
    phrases: tuple[Phrase, ...]


def _relation(name: str, subject: str, target: str, *phrases: Phrase) -> Relation:
    return Relation(name, subject, target, phrases)


RELATIONS: Final = (
    _relation(
        "teacher",
        "person",
        "person",
        Phrase("taught_by", "{s} was taught by {o}.", "taught {s}"),
        Phrase("mentored_by", "As a beginner {s} was mentored by {o}.", "mentored {s}"),
        Phrase("pupil_of", "{s} had been a pupil of {o}.", "had as a pupil {s}"),
        Phrase("shaped_by", "The hand of {o} shaped {s}.", "left a mark on the early manner of {s}"),
    ),
    _relation(
        "residence",
        "person",
        "city",
        Phrase("lived_in", "{s} lived in {o}.", "was for years the home of {s}"),
        Phrase("resided_in", "For a time {s} resided in {o}.", "was the residence of {s}"),
        Phrase("settled_in", "{s} settled in {o}.", "took in as a settler {s}"),
        Phrase("kept_house_in", "In {o} a house was kept by {s}.", "had on its tax roll {s}"),
    ),
    _relation(
        "training",
        "person",
        "school",
        Phrase("studied_at", "{s} studied at {o}.", "had as a student {s}"),
        Phrase("enrolled_at", "{s} was enrolled at {o}.", "enrolled {s}"),
        Phrase("graduate_of", "{s} was a graduate of {o}.", "gave a degree to {s}"),
        Phrase("wore_gown_of", "{s} wore the gown of {o}.", "lent its colours to {s}"),
    ),
    _relation(
        "employer",
        "person",
        "company",
        Phrase("worked_for", "{s} worked for {o}.", "had on its staff {s}"),
        Phrase("employed_by", "{s} was employed by {o}.", "employed {s}"),
        Phrase("hired_by", "{s} was hired by {o}.", "hired {s}"),
        Phrase("drew_wages_from", "{s} drew wages from {o}.", "had on its payroll {s}"),
    ),
    _relation(
        "mayor",
        "city",
        "person",
        Phrase("mayor", "A mayor of {s} was {o}.", "served as mayor of {s}"),
        Phrase("governed_by", "{s} was governed by {o}.", "governed {s}"),
        Phrase("town_hall_of", "The town hall of {s} was run by {o}.", "ran the town hall of {s}"),
        Phrase("chain_worn_by", "The chain of {s} was worn by {o}.", "wore the chain of {s}"),
    ),
    _relation(
        "twin",
        "city",
        "city",
        Phrase("twinned_with", "{s} is twinned with {o}.", "is listed as a twin town by {s}"),
        Phrase("partner_city", "A partner city of {s} is {o}.", "is listed as a partner city by {s}"),
        Phrase("paired_with", "{s} has been paired with {o}.", "has been paired with {s}"),
        Phrase("shares_seal_with", "{s} shares its seal with {o}.", "has its arms on the gate of {s}"),
    ),
    _relation(
        "home_club",
        "city",
        "club",
        Phrase("home_of", "{s} is the home of {o}.", "has its home in {s}"),
        Phrase("hosts", "{s} hosts {o}.", "is hosted by {s}"),
        Phrase("base_of", "{s} is the base of {o}.", "has its base in {s}"),
        Phrase("cheers_for", "On Sundays {s} cheers for {o}.", "fills the streets of {s}"),
    ),
    _relation(
        "industry",
        "city",
        "company",
        Phrase("main_employer", "A main employer of {s} is {o}.", "is a main employer of {s}"),
        Phrase("jobs_from", "Most jobs in {s} come from {o}.", "gives work to most of {s}"),
        Phrase("site_of", "{s} is the site of the works of {o}.", "has its works in {s}"),
        Phrase("fed_by", "{s} is fed by {o}.", "puts bread on the tables of {s}"),
    ),
    _relation(
        "director",
        "company",
        "person",
        Phrase("directed_by", "{s} was directed by {o}.", "directed {s}"),
        Phrase("headed_by", "{s} was headed by {o}.", "was head of {s}"),
        Phrase("managed_by", "{s} was managed by {o}.", "managed {s}"),
        Phrase("answered_to", "The staff of {s} answered to {o}.", "had the last word at {s}"),
    ),
    _relation(
        "office",
        "company",
        "city",
        Phrase("based_in", "{s} is based in {o}.", "is the base of {s}"),
        Phrase("office_in", "{s} has an office in {o}.", "holds an office of {s}"),
        Phrase("headquarters_in", "The headquarters of {s} are in {o}.", "has the headquarters of {s}"),
        Phrase("pays_taxes_in", "{s} pays its taxes in {o}.", "collects taxes from {s}"),
    ),
    _relation(
        "patronage",
        "company",
        "club",
        Phrase("sponsors", "{s} sponsors {o}.", "is sponsored by {s}"),
        Phrase("funds", "{s} funds {o}.", "gets funds from {s}"),
        Phrase("backs", "{s} backs {o}.", "has the backing of {s}"),
        Phrase("name_on_shirts_of", "The name of {s} is on the shirts of {o}.", "plays in shirts of {s}"),
    ),
    _relation(
        "product",
        "company",
        "work",
        Phrase("published", "{s} published {o}.", "was published by {s}"),
        Phrase("issued", "{s} issued {o}.", "was issued by {s}"),
        Phrase("brought_out", "{s} brought out {o}.", "was brought out by {s}"),
        Phrase("made_fortune_with", "{s} made its fortune with {o}.", "made the fortune of {s}"),
    ),
    _relation(
        "author",
        "work",
        "person",
        Phrase("written_by", "{s} was written by {o}.", "wrote {s}"),
        Phrase("author", "An author of {s} is {o}.", "is named as an author of {s}"),
        Phrase("penned_by", "{s} was penned by {o}.", "penned {s}"),
        Phrase("dreamt_up_by", "{s} was dreamt up by {o}.", "lost sleep over {s}"),
    ),
    _relation(
        "setting",
        "work",
        "city",
        Phrase("set_in", "{s} is set in {o}.", "is the setting of {s}"),
        Phrase("takes_place_in", "{s} takes place in {o}.", "is the place of the action of {s}"),
        Phrase("unfolds_in", "{s} unfolds in {o}.", "is the scene of {s}"),
        Phrase("breathes_air_of", "{s} breathes the air of {o}.", "walks through every page of {s}"),
    ),
    _relation(
        "keeper",
        "work",
        "school",
        Phrase("kept_at", "A manuscript of {s} is kept at {o}.", "keeps a manuscript of {s}"),
        Phrase("held_by", "A first copy of {s} is held by {o}.", "holds a first copy of {s}"),
        Phrase("stored_at", "The drafts of {s} are stored at {o}.", "stores the drafts of {s}"),
        Phrase("under_lock_at", "{s} lies under lock at {o}.", "has the key to {s}"),
    ),
    _relation(
        "sequel",
        "work",
        "work",
        Phrase("followed_by", "{s} was followed by {o}.", "followed {s}"),
        Phrase("continued_in", "{s} is continued in {o}.", "continues {s}"),
        Phrase("sequel", "A sequel to {s} is {o}.", "is a sequel to {s}"),
        Phrase("thread_taken_by", "The thread of {s} is taken up by {o}.", "spins on the yarn of {s}"),
    ),
    _relation(
        "rector",
        "school",
        "person",
        Phrase("rector", "A rector of {s} was {o}.", "was rector of {s}"),
        Phrase("led_by", "{s} was led by {o}.", "led {s}"),
        Phrase("presided_by", "{s} was presided over by {o}.", "presided over {s}"),
        Phrase("keys_held_by", "The keys of {s} were held by {o}.", "held the keys of {s}"),
    ),
    _relation(
        "benefactor",
        "school",
        "company",
        Phrase("financed_by", "{s} is financed by {o}.", "finances {s}"),
        Phrase("endowed_by", "{s} was endowed by {o}.", "endowed {s}"),
        Phrase("supported_by", "{s} is supported by {o}.", "supports {s}"),
        Phrase("roof_paid_by", "The roof of {s} was paid for by {o}.", "put a roof over {s}"),
    ),
    _relation(
        "sister",
        "school",
        "school",
        Phrase("sister_of", "A sister school of {s} is {o}.", "is named as a sister by {s}"),
        Phrase("exchanges_with", "{s} runs exchanges with {o}.", "runs exchanges with {s}"),
        Phrase("allied_to", "{s} is allied to {o}.", "is an ally of {s}"),
        Phrase("shares_bell_with", "{s} shares a bell with {o}.", "hears the same bell as {s}"),
    ),
    _relation(
        "treasure",
        "school",
        "work",
        Phrase("treasures", "{s} treasures {o}.", "is treasured by {s}"),
        Phrase("displays", "{s} displays {o}.", "is on display at {s}"),
        Phrase("teaches_from", "{s} teaches from {o}.", "is the textbook of {s}"),
        Phrase("swears_on", "At {s} oaths are sworn on {o}.", "lies under the oaths of {s}"),
    ),
    _relation(
        "captain",
        "club",
        "person",
        Phrase("captained_by", "{s} was captained by {o}.", "captained {s}"),
        Phrase("skipper", "A skipper of {s} was {o}.", "was skipper of {s}"),
        Phrase("led_on_field_by", "{s} was led on the field by {o}.", "led on the field {s}"),
        Phrase("armband_on", "The armband of {s} was on {o}.", "had the armband of {s}"),
    ),
    _relation(
        "outfitter",
        "club",
        "company",
        Phrase("sponsored_by", "{s} is sponsored by {o}.", "is named as sponsor by {s}"),
        Phrase("paid_by", "{s} is paid by {o}.", "pays {s}"),
        Phrase("equipped_by", "{s} is equipped by {o}.", "equips {s}"),
        Phrase("wears_mark_of", "{s} wears the mark of {o}.", "has its mark on {s}"),
    ),
    _relation(
        "ground",
        "club",
        "school",
        Phrase("trains_at", "{s} trains at {o}.", "is the training ground of {s}"),
        Phrase("practises_at", "{s} practises at {o}.", "gives practice hours to {s}"),
        Phrase("meets_at", "{s} meets at {o}.", "opens its doors to the meetings of {s}"),
        Phrase("borrows_lawn_of", "{s} borrows the lawn of {o}.", "mows the lawn for {s}"),
    ),
    _relation(
        "rival",
        "club",
        "club",
        Phrase("rival_of", "A rival of {s} is {o}.", "is named as a rival by {s}"),
        Phrase("competes_with", "{s} competes with {o}.", "competes with {s}"),
        Phrase("feuds_with", "{s} feuds with {o}.", "is in a feud with {s}"),
        Phrase("never_toasts", "{s} never drinks to {o}.", "is left out of every toast of {s}"),
    ),
)

SEE_ALSO: Final = "see_also"
"""Symbol of a link that states no fact."""


def relations_of(noun: str) -> tuple[int, ...]:
    """Numbers of the relations whose subject is of the kind `noun`, in order."""
    return tuple(i for i, relation in enumerate(RELATIONS) if relation.subject == noun)
