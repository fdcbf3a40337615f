"""Names for worlds: brands, models, people, streets and towns, made of parts. Leaves out who bears which."""

from __future__ import annotations

from random import Random
from typing import Final

from trace_gym.core.task import Split

_ONSETS: Final = {
    Split.TRAIN: ("Br", "K", "Tor", "Hal", "Vin", "Mar", "Sk", "Len", "Fj", "Dal", "Or", "Pel"),
    Split.TEST: ("Quen", "Zab", "Ush", "Ivr", "Wex", "Yul", "Gna", "Rho", "Cae", "Ebb", "Tza", "Nuo"),
}
_ENDS: Final = ("und", "osta", "vik", "ello", "ara", "imo", "eth", "ander", "is", "ulf", "ona", "erly")
_MODELS: Final = (
    *("Alto", "Birk", "Cove", "Dune", "Esk", "Fen", "Glade", "Haven", "Isle", "Juno", "Knoll", "Loch"),
    *("Mere", "Nook", "Oriel", "Pico", "Quill", "Ridge", "Shore", "Tarn", "Umber", "Vale", "Wold", "Yarrow"),
)
_FIRST: Final = (
    *("Ada", "Boris", "Carla", "Dev", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Luca"),
    *("Mina", "Nils", "Olga", "Pavel", "Rosa", "Selim", "Tara", "Uwe", "Vera", "Yan", "Zoe", "Amir"),
)
_LAST: Final = (
    *("Abbott", "Berg", "Castro", "Dietz", "Ekwall", "Farkas", "Gallo", "Hahn", "Ito", "Jansen", "Kaya"),
    *("Lund", "Moreau", "Novak", "Okafor", "Pereira", "Quist", "Rossi", "Silva", "Tanaka", "Usman", "Vogel"),
)
_STREETS: Final = (
    *("Mill Lane", "Harbour Street", "Elm Row", "Station Road", "Castle Hill", "Orchard Way", "Canal Side"),
    *("Market Place", "Chapel Street", "Linden Avenue", "Quarry Road", "Bridge Street", "Park Crescent"),
)
_TOWNS: Final = (
    *("Ashwick", "Brackley", "Corran", "Denholm", "Easby", "Farlow", "Glenby", "Hartsea", "Inverley"),
    *("Kelmore", "Lydford", "Marrick", "Norham", "Oakley", "Penmouth", "Rushby", "Selwick", "Thornby"),
)
_SHOPS: Final = ("Market", "Stores", "Supply", "Trading", "Goods", "Bazaar")


def shop_name(rng: Random, split: Split) -> str:
    """A name over a shop's door."""
    return f"{brand(rng, split)} {rng.choice(_SHOPS)}"


def brand(rng: Random, split: Split) -> str:
    """A maker's name; makers of train and test worlds never share one."""
    return rng.choice(_ONSETS[split]) + rng.choice(_ENDS)


def models(rng: Random, count: int) -> list[str]:
    """Different names of models."""
    return rng.sample(_MODELS, count)


def people(rng: Random, count: int) -> list[str]:
    """Different full names."""
    first, last = rng.sample(_FIRST, count), rng.sample(_LAST, count)
    return [f"{a} {b}" for a, b in zip(first, last, strict=True)]


def author(rng: Random) -> str:
    """How somebody signs a review."""
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)[0]}."


def street(rng: Random) -> str:
    """A street with a number."""
    return f"{rng.randint(1, 98)} {rng.choice(_STREETS)}"


def towns(rng: Random, count: int) -> list[tuple[str, str]]:
    """Different towns with a postcode each."""
    return [(town, f"{rng.randint(10000, 99999)}") for town in rng.sample(_TOWNS, count)]


def phone(rng: Random) -> str:
    """A telephone number of the range that is kept for fiction."""
    return f"555-01{rng.randint(10, 99)}-{rng.randint(100, 999)}"
