"""What shops can sell: departments of goods with their features, those of test worlds apart from the others.

Leaves out brands, prices and stocks: a world draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from trace_gym.core.task import Split


@dataclass(frozen=True, slots=True)
class Noun:
    """A sort of article: its name, what shape its picture has, its usual price in whole currency units and
    weight in grams."""

    name: str
    shape: str
    price: int
    weight_g: int


@dataclass(frozen=True, slots=True)
class Department:
    """Goods that stand together, and the values that their features can take besides the colour."""

    name: str
    nouns: tuple[Noun, ...]
    features: Mapping[str, tuple[str, ...]]


COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sage": "#8aa68a",
        "ink": "#33415c",
        "rust": "#b5532e",
        "sand": "#d3b88c",
        "slate": "#6b7785",
        "plum": "#7a4668",
        "ochre": "#c99531",
        "teal": "#2f7f82",
    }
)


def _department(name: str, nouns: str, **features: str) -> Department:
    """A department written briefly: nouns as `name/shape/price/grams`, values apart by commas."""
    found = []
    for text in nouns.split(", "):
        noun, shape, price, grams = text.split("/")
        found.append(Noun(noun, shape, int(price), int(grams)))
    return Department(name, tuple(found), {key: tuple(text.split(", ")) for key, text in features.items()})


_TRAIN: Final = (
    _department(
        "Kitchen",
        "kettle/pot/45/1200, saucepan/pan/38/1500, bread bin/box/32/1800, carafe/bottle/24/700",
        material="steel, enamel, copper, glass",
        capacity="1 l, 1.5 l, 2 l, 3 l",
    ),
    _department(
        "Garden",
        "watering can/pot/28/900, hand fork/tool/16/400, planter/box/35/3200, bird table/table/54/4100",
        material="zinc, oak, resin, steel",
        finish="matt, gloss, raw",
    ),
    _department(
        "Office",
        "desk lamp/lamp/59/1600, letter tray/box/22/800, notebook/book/12/350, stapler/plane/18/300",
        material="felt, beech, steel, leather",
        size="A4, A5, A6",
    ),
    _department(
        "Camping",
        "lantern/lamp/36/600, flask/bottle/27/450, day pack/bag/74/950, stove/pan/68/700",
        material="nylon, titanium, steel, canvas",
        season="summer, three-season, winter",
    ),
    _department(
        "Lighting",
        "floor lamp/lamp/129/5200, table lamp/lamp/62/1900, pendant/round/88/2100, night light/round/19/250",
        material="linen, brass, paper, glass",
        socket="E27, E14, GU10",
    ),
    _department(
        "Bath",
        "towel/roll/21/500, bath mat/roll/29/900, soap dish/box/14/300, laundry basket/bag/43/1700",
        material="cotton, bamboo, stoneware, linen",
        weave="waffle, terry, plain",
    ),
    _department(
        "Music",
        "ukulele/string/95/650, cajon/box/110/4300, tambourine/round/26/400, music stand/table/34/1400",
        material="maple, walnut, birch, alloy",
        level="beginner, student, stage",
    ),
    _department(
        "Pets",
        "dog bed/roll/58/2000, cat tower/table/92/7800, feeding bowl/round/17/500, carrier/bag/49/1600",
        material="wool, sisal, ceramic, wicker",
        size="small, medium, large",
    ),
    _department(
        "Luggage",
        "suitcase/box/139/3100, wash bag/bag/25/300, tote/bag/39/450, travel wallet/book/31/150",
        material="canvas, leather, polycarbonate, cork",
        closure="zip, buckle, roll-top",
    ),
)

_TEST: Final = (
    _department(
        "Workshop",
        "hand plane/plane/84/1500, tool chest/box/118/8200, spirit level/bar/29/600, work light/lamp/47/1100",
        material="beech, ductile iron, aluminium, steel",
        length="20 cm, 30 cm, 45 cm",
    ),
    _department(
        "Nursery",
        "stacking toy/round/18/500, bedside lamp/lamp/37/800, story book/book/15/400, play mat/roll/52/1900",
        material="cotton, lime wood, felt, board",
        age="from birth, from 1 year, from 3 years",
    ),
    _department(
        "Cycling",
        "pannier/bag/79/1100, bottle cage/bottle/16/120, bar bag/bag/44/480, floor pump/pump/41/1500",
        material="aluminium, carbon, waxed cotton, recycled nylon",
        mount="clip, strap, bolt",
    ),
    _department(
        "Painting",
        "easel/table/76/3900, brush roll/roll/23/350, sketchbook/book/19/700, paint box/box/64/900",
        material="birch, canvas, cedar, tin",
        grade="study, artist, professional",
    ),
    _department(
        "Tea and coffee",
        "teapot/pot/42/950, coffee grinder/bottle/86/1300, canister/box/20/420, cup set/round/33/1200",
        material="cast iron, porcelain, tin, stoneware",
        serves="2, 4, 6",
    ),
    _department(
        "Beach",
        "windbreak/roll/48/2600, cool bag/bag/34/800, kite/string/29/350, parasol/lamp/57/3000",
        material="cotton, polyester, bamboo, rope",
        pattern="plain, striped, dotted",
    ),
)

DEPARTMENTS: Final[Mapping[Split, tuple[Department, ...]]] = MappingProxyType(
    {Split.TRAIN: _TRAIN, Split.TEST: _TEST}
)
