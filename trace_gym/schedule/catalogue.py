"""Methods by name: any root rule with any fork rule, and the pairs that papers put together.

A name is a method (`pcl`, `treepo`), or ROOTS+FORKS (`pcl+trace`). Options are those of the rules'
constructors; one that both rules have goes to both. Leaves out reading configurations.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trace_gym.core.errors import BadConfig, unknown
from trace_gym.core.option import demand_kinds
from trace_gym.core.scheduler import Scheduler
from trace_gym.schedule.arpo import ArpoForks
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.cutting import CuttingScheduler
from trace_gym.schedule.dapo import DapoRoots
from trace_gym.schedule.guided import GuidedScheduler
from trace_gym.schedule.knapsack import KnapsackRoots
from trace_gym.schedule.mopps import MoppsRoots
from trace_gym.schedule.pcl import PclRoots
from trace_gym.schedule.plus_forks import PlusForks
from trace_gym.schedule.proportional import ProportionalRoots
from trace_gym.schedule.random_forks import RandomForks
from trace_gym.schedule.reinforce_ada import ReinforceAdaRoots
from trace_gym.schedule.rule import ForkRule, RootRule
from trace_gym.schedule.trace import TraceForks, TraceRoots
from trace_gym.schedule.trace_plus import SWITCHES, trace_plus
from trace_gym.schedule.treegrpo import TreeGrpoForks
from trace_gym.schedule.treepo import TreePoForks
from trace_gym.schedule.uniform import NoForks, UniformRoots
from trace_gym.schedule.vip import VipRoots

ROOTS: Mapping[str, Callable[..., RootRule]] = {
    "uniform": UniformRoots,
    "dapo": DapoRoots,
    "pcl": PclRoots,
    "mopps": MoppsRoots,
    "vip": VipRoots,
    "knapsack": KnapsackRoots,
    "reinforce_ada": ReinforceAdaRoots,
    "trace": TraceRoots,
    "proportional": ProportionalRoots,
}
FORKS: Mapping[str, Callable[..., ForkRule]] = {
    "none": NoForks,
    "random": RandomForks,
    "treegrpo": TreeGrpoForks,
    "treepo": TreePoForks,
    "arpo": ArpoForks,
    "trace": TraceForks,
    "plus": PlusForks,
}
ASKING = frozenset({"pcl", "vip", "knapsack", "trace", "plus", "proportional"})
"""Rules that look at predictions."""
WHOLE: Mapping[str, Callable[..., Scheduler]] = {"trace_plus": trace_plus}
"""Methods that are no pair of rules, or one of several pairs as their options say."""
CREDIT: Mapping[str, Mapping[str, Any]] = {"trace_plus": {"advantage": "checks"}}
"""What of a method is the trainer's to do: keys of `train`."""
OWN = ("fresh_roots", "floors")
"""Options of the scheduler itself."""
CUTS = ("cut_below", "cut_spare", "cut_after")
"""Options of any method: those of `CuttingScheduler`, which cuts where `cut_below` is above 0."""
GUIDES = ("guide_share", "guide_below", "guide_continuations")
"""Options of any method: those of `GuidedScheduler`, which shows solutions where `guide_share` is above 0."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A root rule and a fork rule by name, with options that differ from the rules' own defaults."""

    roots: str
    forks: str
    options: Mapping[str, Any] = field(default_factory=dict)


METHODS: Mapping[str, Pair] = {
    **{name: Pair(name, "none") for name in ROOTS if name != "trace"},
    "trace": Pair("trace", "trace"),
    "trace_random_forks": Pair("trace", "random"),
    "random_forks": Pair("uniform", "random", {"n": 4}),
    "treegrpo": Pair("uniform", "treegrpo", {"n": 2}),
    "treepo": Pair("uniform", "treepo", {"n": 2}),
    "arpo": Pair("uniform", "arpo", {"n": 8}),
}


def names() -> list[str]:
    """The methods that have a name of their own."""
    return [*METHODS, *WHOLE]


def spelled(spec: str) -> tuple[str, dict[str, Any]]:
    """Name and options of `NAME?option=value&option=value`; values are read as JSON, else as words. Raises
    BadConfig."""
    name, _, rest = spec.partition("?")
    options: dict[str, Any] = {}
    for part in filter(None, rest.split("&")):
        key, equals, text = part.partition("=")
        if not equals or not key:
            raise BadConfig(f"options are written NAME?option=value&option=value, got {spec!r}")
        try:
            options[key] = json.loads(text)
        except ValueError:
            options[key] = text
    return name, options


def ablation() -> list[str]:
    """`trace_plus` by its switches, as specs: all off, which is TRACE, and each alone."""
    off = SWITCHES["trace"]
    rows = [{**off, **row} for row in SWITCHES.values()]
    told = ["&".join(f"{key}={json.dumps(value)}" for key, value in row.items()) for row in rows]
    return [f"trace_plus?{options}" for options in told]


def pair_of(name: str) -> Pair:
    """The rules that a name means. Raises UnknownName with the nearest."""
    if name in METHODS:
        return METHODS[name]
    roots, plus, forks = name.partition("+")
    if not plus:
        raise unknown("scheduler", name, names())
    if roots not in ROOTS:
        raise unknown("root rule", roots, list(ROOTS))
    if forks not in FORKS:
        raise unknown("fork rule", forks, list(FORKS))
    return Pair(roots, forks)


def asks(name: str, options: Mapping[str, Any]) -> bool:
    """Does the method look at predictions? Raises UnknownName."""
    if name in WHOLE or options.get("cut_below") or options.get("guide_share"):
        return True
    pair, named = pair_of(name), _named(options)
    roots, forks = (named.get(side, own) for side, own in (("roots", pair.roots), ("forks", pair.forks)))
    pair = pair_of(f"{roots}+{forks}")
    return pair.roots in ASKING or pair.forks in ASKING


def _named(options: Mapping[str, Any]) -> dict[str, str]:
    """The rules that options name: a number of `roots` is none."""
    return {side: rule for side in ("roots", "forks") if isinstance(rule := options.get(side), str)}


def make(name: str, options: Mapping[str, Any], *, seed: int) -> Scheduler:
    """The scheduler of a name. `roots` and `forks` among the options, where they are names, replace the rules
    that the name means; everything else goes to the constructors. Raises UnknownName, BadConfig."""
    around = (*CUTS, *GUIDES)
    what = f"scheduler {name!r}"
    cuts = _switched(CuttingScheduler, options, CUTS, what=what)
    guides = _switched(GuidedScheduler, options, GUIDES, what=what)
    scheduler = _made(name, {key: value for key, value in options.items() if key not in around}, seed=seed)
    try:
        if cuts:
            scheduler = CuttingScheduler(scheduler, **cuts, seed=seed)
        if guides:
            scheduler = GuidedScheduler(scheduler, **guides, seed=seed)
    except (TypeError, ValueError) as error:
        raise BadConfig(f"{what}: {error}") from error
    return scheduler


def _switched(
    factory: Callable[..., Scheduler], options: Mapping[str, Any], keys: Sequence[str], *, what: str
) -> dict[str, Any]:
    """Those of the options that are among `keys`, without what their names begin with, for the factory; none
    where the first of the keys, the switch, is off. Raises BadConfig for an option that would then mean
    nothing."""
    switch, *rest = keys
    found = {key.partition("_")[2]: options[key] for key in keys if key in options}
    demand_kinds(factory, found, what=what, prefix=f"{switch.partition('_')[0]}_")
    if options.get(switch):
        return found
    if lone := [key for key in rest if key in options]:
        raise BadConfig(f"{lone[0]} says nothing while {switch} is 0; give {switch} too, or leave it out")
    return {}


def _made(name: str, options: Mapping[str, Any], *, seed: int) -> Scheduler:
    if name in WHOLE:
        return _whole(name, options, seed=seed)
    pair = pair_of(name)
    given = {**pair.options, **options}
    named = _named(given)
    if named:
        given = {key: value for key, value in given.items() if key not in named}
        pair = pair_of(f"{named.get('roots', pair.roots)}+{named.get('forks', pair.forks)}")
        given = {key: value for key, value in given.items() if key in options or _takes(pair, key)}
    known = [*_known(ROOTS[pair.roots]), *_known(FORKS[pair.forks]), *OWN, *CUTS, *GUIDES]
    for key in given:
        if key not in known:
            raise unknown(f"option of scheduler {name!r}", key, known)
    roots, forks = ROOTS[pair.roots], FORKS[pair.forks]
    own = {key: given[key] for key in OWN if key in given}
    for factory, options in ((roots, _mine(roots, given)), (forks, _mine(forks, given)), (Composed, own)):
        demand_kinds(factory, options, what=f"scheduler {name!r}")
    try:
        return Composed(roots(**_mine(roots, given)), forks(**_mine(forks, given)), seed=seed, **own)
    except (TypeError, ValueError) as error:
        raise BadConfig(f"scheduler {name!r}: {error}") from error


def _whole(name: str, options: Mapping[str, Any], *, seed: int) -> Scheduler:
    known = [*(key for key in _known(WHOLE[name]) if key != "seed"), *CUTS, *GUIDES]
    for key in options:
        if key not in known:
            raise unknown(f"option of scheduler {name!r}", key, known)
    demand_kinds(WHOLE[name], options, what=f"scheduler {name!r}")
    try:
        return WHOLE[name](**options, seed=seed)
    except (TypeError, ValueError) as error:
        raise BadConfig(f"scheduler {name!r}: {error}") from error


def _takes(pair: Pair, key: str) -> bool:
    return key in _known(ROOTS[pair.roots]) or key in _known(FORKS[pair.forks])


def _known(rule: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(rule).parameters)


def _mine(rule: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    known = _known(rule)
    return {key: value for key, value in options.items() if key in known}
