"""The tasks of the shop: as many as one likes, over worlds that never straddle the splits.

A family is a world: its goods, people and rules. Every world has errands of all twelve kinds. A rendering
that shows little of a world makes one task of errands in different worlds: then training takes, in place of
one that is like an errand of the test split, the next of its world and kind that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from random import Random
from types import MappingProxyType
from typing import Final, TypeAlias

from trace_gym.core.errors import BadConfig, unknown
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.tasks import LazyTasks
from trace_gym_envs.shop.errand import Errand
from trace_gym_envs.shop.kinds import afterwards, buying, goods
from trace_gym_envs.shop.kinds.history import history
from trace_gym_envs.shop.kinds.refusal import refusal
from trace_gym_envs.shop.world import World, world, world_name

Likeness: TypeAlias = Callable[[Errand], Hashable]

KINDS: Final[Mapping[str, Callable[[Random, World], Errand]]] = MappingProxyType(
    {
        "find": goods.find,
        "compare": goods.compare,
        "cart": goods.cart,
        "coupon": goods.coupon,
        "checkout": buying.checkout,
        "address": buying.address,
        "return": afterwards.send_back,
        "history": history,
        "review": afterwards.review,
        "stock": buying.stock,
        "account": buying.account,
        "refusal": refusal,
    }
)

WORLDS: Final = MappingProxyType({Split.TRAIN: 40, Split.TEST: 12})
PER_WORLD: Final = MappingProxyType({Split.TRAIN: 1200, Split.TEST: 600})
"""Errands per world: 48,000 for training, 7,200 for testing."""

MAX_TURNS: Final = 36
_TRIES: Final = 1000
SECRET: Final = ("item number", "order number", "rule", "amount")
"""Sorts of answers that cannot stand in the request by accident."""


def listed(
    suite: str,
    split: Split,
    *,
    subset: str = "",
    worlds: int | None = None,
    kinds: Sequence[str] = tuple(KINDS),
    max_turns: int = MAX_TURNS,
    likeness: Likeness | None = None,
) -> Sequence[Task]:
    """The errands of a split, the worlds in turn; `subset` names a kind, "" takes all `kinds` in turn;
    `worlds`: that many instead of the usual number; `max_turns` is each errand's limit; `likeness`, where
    given, is equal for errands that are one task, and training has none that is like one of the usual test
    worlds. Raises UnknownName, BadConfig."""
    if subset and subset not in kinds:
        raise unknown(f"{suite} subset", subset, list(kinds))
    if worlds is not None and worlds < 1:
        raise BadConfig(f"worlds must be at least 1, got {worlds}")
    if max_turns < 1:
        raise BadConfig(f"turns must be at least 1, got {max_turns}")
    count, names = WORLDS[split] if worlds is None else worlds, tuple(kinds)

    def make(index: int) -> Task:
        number, at = divmod(index, count)
        if subset:
            number = number * len(names) + (names.index(subset) - at) % len(names)
        kind, place = names[(number + at) % len(names)], world_name(split, at)
        if likeness is not None and split is Split.TRAIN:
            number = _unlike(place, kind, number, kinds=names, likeness=likeness)
        return errand_task(suite, split, place, kind, number, max_turns=max_turns)

    return LazyTasks(PER_WORLD[split] // (len(names) if subset else 1) * count, make)


def errand_task(
    suite: str, split: Split, place: str, kind: str, number: int, *, max_turns: int = MAX_TURNS
) -> Task:
    """The task of a kind in a world that a number stands for."""
    errand = _drawn(place, kind, number)
    return Task(
        id=f"{place}/{kind}/{number}",
        suite=suite,
        split=split,
        family=place,
        seed=number,
        subset=kind,
        payload=errand.payload(),
        limits=Limits(max_turns=max_turns),
    )


def _drawn(place: str, kind: str, number: int) -> Errand:
    return KINDS[kind](Random(f"{place} {kind} {number}"), world(place))


def _unlike(place: str, kind: str, number: int, *, kinds: tuple[str, ...], likeness: Likeness) -> int:
    """The number, or the next beyond all that a world lists, of an errand that is like none of testing."""
    tested, step = _tested(kind, kinds, likeness), PER_WORLD[Split.TRAIN]
    for found in range(number, number + _TRIES * step, step):
        if likeness(_drawn(place, kind, found)) not in tested:
            return found
    raise LookupError(f"{place} has no {kind} errand that is like none of the test split")


@cache
def _tested(kind: str, kinds: tuple[str, ...], likeness: Likeness) -> frozenset[Hashable]:
    """What the errands of a kind in the usual test worlds are like."""
    return frozenset(
        likeness(_drawn(world_name(Split.TEST, at), kind, number))
        for at in range(WORLDS[Split.TEST])
        for number in range((kinds.index(kind) - at) % len(kinds), PER_WORLD[Split.TEST], len(kinds))
    )
