"""A world: one shop with its goods, customers, their orders, coupons and rules, all drawn from its name.

Leaves out the database that an episode keeps of it, and tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from random import Random
from typing import Final

from trace_gym.core.task import Split
from trace_gym_envs.shop import names
from trace_gym_envs.shop.goods import COLOURS, DEPARTMENTS, Department, Noun
from trace_gym_envs.shop.past import Customer, draw_customers
from trace_gym_envs.shop.rules import Rule, draw_rules

DEPARTMENTS_EACH: Final = 4
NOUNS_EACH: Final = 3
MAKES_EACH: Final = 5
CUSTOMERS: Final = 5
KEPT: Final = 64
_EPOCH: Final = date(2031, 1, 1).toordinal()

_PRAISE: Final = ("Just right", "Would buy again", "Better than hoped", "Solid", "A pleasure to use")
_BLAME: Final = ("Not for me", "Could be better", "Disappointing", "Mixed feelings", "Too flimsy")
_REMARKS: Final = (
    "It arrived well packed.",
    "The finish is even and it feels heavy in the hand.",
    "I use it every day.",
    "The colour is close to the picture.",
    "The instructions are hard to read.",
    "It replaced one that lasted ten years.",
    "One corner was scratched.",
    "My neighbour has the same one and likes it.",
)


@dataclass(frozen=True, slots=True)
class Review:
    """What a stranger wrote of an article; `day` is a date's ordinal."""

    author: str
    stars: int
    title: str
    text: str
    day: int


@dataclass(frozen=True, slots=True)
class Product:
    """An article. `sku` is its item number, `price` in cents, `warranty` in months; `features` by name."""

    sku: str
    name: str
    brand: str
    department: str
    noun: str
    shape: str
    price: int
    stock: int
    weight_g: int
    warranty: int
    features: tuple[tuple[str, str], ...]
    reviews: tuple[Review, ...]

    @property
    def stars(self) -> float:
        """The mean of its reviews."""
        return sum(review.stars for review in self.reviews) / len(self.reviews)


@dataclass(frozen=True, slots=True)
class Coupon:
    """A code that takes `percent` or `amount` (cents) off what is in the cart: of one department only where
    one is named, from a `minimum` sum of goods on, until the day `expires`."""

    code: str
    percent: int
    amount: int
    department: str
    minimum: int
    expires: int


@dataclass(frozen=True, slots=True)
class World:
    """A shop on the day `today` (a date's ordinal)."""

    name: str
    split: Split
    shop: str
    today: int
    products: tuple[Product, ...]
    customers: tuple[Customer, ...]
    coupons: tuple[Coupon, ...]
    rules: tuple[Rule, ...]

    def product(self, sku: str) -> Product:
        """The article with an item number. Raises KeyError."""
        for product in self.products:
            if product.sku == sku:
                return product
        raise KeyError(sku)

    def rule(self, kind: str) -> Rule:
        """The rule of a kind. Raises KeyError."""
        for rule in self.rules:
            if rule.kind == kind:
                return rule
        raise KeyError(kind)


def world_name(split: Split, number: int) -> str:
    """The name of a split's world; every number is one."""
    return f"{split.value}-{number:03d}"


@lru_cache(maxsize=KEPT)
def world(name: str) -> World:
    """The world of a name, always the same."""
    split = Split(name.partition("-")[0])
    rng = Random(f"shop world {name}")
    today = _EPOCH + rng.randrange(60, 330)
    departments = rng.sample(DEPARTMENTS[split], DEPARTMENTS_EACH)
    products = _products(rng, split, departments, today)
    rules = draw_rules(rng, departments[-1].name)
    shelf = [(product.sku, product.department) for product in products]
    customers = draw_customers(rng, shelf=shelf, rules=rules, today=today, count=CUSTOMERS)
    coupons = _coupons(rng, departments, today)
    return World(name, split, names.shop_name(rng, split), today, products, customers, coupons, rules)


def _products(rng: Random, split: Split, departments: list[Department], today: int) -> tuple[Product, ...]:
    numbers = iter(rng.sample(range(1000, 9999), DEPARTMENTS_EACH * NOUNS_EACH * MAKES_EACH))
    found = []
    for department in departments:
        for noun in rng.sample(department.nouns, NOUNS_EACH):
            for model in names.models(rng, MAKES_EACH):
                sku = f"{department.name[0]}{next(numbers)}"
                found.append(
                    _product(rng, split, sku=sku, model=model, noun=noun, department=department, today=today)
                )
    return tuple(found)


def _product(
    rng: Random, split: Split, *, sku: str, model: str, noun: Noun, department: Department, today: int
) -> Product:
    maker = names.brand(rng, split)
    features = [("colour", rng.choice(list(COLOURS)))]
    features += [(name, rng.choice(values)) for name, values in department.features.items()]
    return Product(
        sku=sku,
        name=f"{maker} {model} {noun.name}",
        brand=maker,
        department=department.name,
        noun=noun.name,
        shape=noun.shape,
        price=round(noun.price * rng.uniform(0.6, 1.6)) * 100 - rng.choice((1, 5, 10, 50)),
        stock=rng.randint(6, 40),
        weight_g=round(noun.weight_g * rng.uniform(0.7, 1.4) / 10) * 10,
        warranty=rng.choice((6, 12, 18, 24, 36, 48, 60)),
        features=tuple(features),
        reviews=_reviews(rng, today),
    )


def _reviews(rng: Random, today: int) -> tuple[Review, ...]:
    leaning = rng.choice((2, 3, 4, 5))
    found = []
    for _ in range(rng.randint(2, 4)):
        stars = min(5, max(1, leaning + rng.choice((-1, 0, 0, 1))))
        title = rng.choice(_PRAISE if stars > 3 else _BLAME)
        text = " ".join(rng.sample(_REMARKS, rng.randint(1, 2)))
        found.append(Review(names.author(rng), stars, title, text, today - rng.randint(3, 400)))
    return tuple(sorted(found, key=lambda review: -review.day))


def _coupons(rng: Random, departments: list[Department], today: int) -> tuple[Coupon, ...]:
    """Some that hold and one that is over; codes are words, so that none looks better than it is."""
    codes = rng.sample(("MAPLE", "COMET", "RIVER", "BADGE", "TULIP", "ORBIT", "PEARL", "CABIN", "FLINT"), 5)
    one, other = rng.sample(departments, 2)
    soon = [today + rng.randint(3, 40) for _ in codes]
    found = [
        Coupon(codes[0], rng.choice((5, 8, 10)), 0, "", 0, soon[0]),
        Coupon(codes[1], rng.choice((15, 20, 25)), 0, one.name, 0, soon[1]),
        Coupon(codes[2], 0, rng.choice((800, 1200, 1500)), "", rng.choice((6000, 9000, 12000)), soon[2]),
        Coupon(codes[3], 0, rng.choice((500, 700, 1000)), other.name, rng.choice((3000, 5000)), soon[3]),
        Coupon(codes[4], rng.choice((30, 40)), 0, "", 0, today - rng.randint(2, 30)),
    ]
    rng.shuffle(found)
    return tuple(found)
