"""Every method and every pair of rules keeps the scheduler's protocol; names and options are looked up."""

import re

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.errors import BadConfig, UnknownName
from trace_gym.schedule.catalogue import FORKS, METHODS, ROOTS, asks, make, names, pair_of, spelled
from trace_gym.testing import Trial, check_scheduler

SMALL = {
    "uniform": {"n": 3},
    "dapo": {"n": 2},
    "pcl": {"n": 2},
    "mopps": {"n": 2},
    "vip": {"n": 3},
    "knapsack": {"n": 3},
    "reinforce_ada": {"samples": 2},
    "trace": {},
    "proportional": {"n": 2},
}
"""Root rules sized for a dozen tasks."""


@pytest.mark.parametrize("forks", FORKS)
@pytest.mark.parametrize("roots", ROOTS)
def test_every_pair_keeps_the_protocol(roots: str, forks: str) -> None:
    check_scheduler(
        lambda: make(f"{roots}+{forks}", SMALL[roots], seed=3),
        trial=Trial(seed=1, failures=0.05, trajectories=60),
    )


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_every_method_keeps_the_protocol(name: str, seed: int) -> None:
    trial = Trial(seed=seed, trajectories=96, tasks=16, predictions=seed != 1, failures=0.2 * (seed == 2))
    check_scheduler(lambda: make(name, {}, seed=seed), trial=trial)


def test_names_are_methods_or_pairs() -> None:
    assert {"uniform", "dapo", "pcl", "mopps", "vip", "knapsack", "reinforce_ada"} <= set(names())
    assert {"treegrpo", "treepo", "arpo", "trace", "random_forks"} <= set(names())
    assert (pair_of("pcl+trace").roots, pair_of("pcl+trace").forks) == ("pcl", "trace")
    with pytest.raises(UnknownName, match="unknown scheduler 'treepoo'; did you mean 'treepo'"):
        pair_of("treepoo")
    with pytest.raises(UnknownName, match="unknown root rule 'pcll'; did you mean 'pcl'"):
        pair_of("pcll+trace")
    with pytest.raises(UnknownName, match="unknown fork rule 'treepoo'; did you mean 'treepo'"):
        pair_of("pcl+treepoo")


def test_options_go_to_the_rule_that_has_them(world) -> None:
    """2 roots and 3 continuations a root: 24 trajectories pay 6 roots, three prompts."""
    play = world(values=[0.5] * 5, turns=[3] * 5)
    _, metrics = play.step(make("pcl+trace", {"n": 2, "continuations": 3}, seed=0), Budget(trajectories=24))
    assert (metrics["roots"], metrics["forks"]) == (6, 18)


def test_rules_may_be_options(world) -> None:
    play = world(values=[0.5] * 5, turns=[3] * 5)
    scheduler = make("trace", {"roots": "uniform", "n": 2}, seed=0)
    _, metrics = play.step(scheduler, Budget(trajectories=12))
    assert (metrics["roots"], metrics["forks"]) == (4, 8)
    assert play.grants[0].reason.startswith("uniform: 2 of 5 prompts")
    plain = make("treepo", {"forks": "none"}, seed=0)
    assert not plain.forks
    assert make("trace", {"roots": 8}, seed=0).pool_size == 8


def test_a_number_of_roots_is_no_name_of_a_rule() -> None:
    """`roots` names a rule or is TRACE's M; the second leaves TRACE its predictor."""
    for name in ("trace", "trace+none", "trace_random_forks", "trace+treepo"):
        assert asks(name, {})
        assert asks(name, {"roots": 16})
    assert asks("uniform", {"roots": "pcl"})
    assert not asks("trace", {"roots": "uniform", "forks": "none"})
    assert not asks("uniform", {})
    with pytest.raises(UnknownName, match="unknown root rule 'trac'; did you mean 'trace'"):
        asks("trace", {"roots": "trac"})


def test_an_option_of_both_rules_goes_to_both(world) -> None:
    play = world(values=[0.1, 0.5], turns=[3] * 2)
    play.step(make("trace", {"cold_steps": 1}, seed=0), Budget(trajectories=9))
    assert all("cold start" in grant.reason for grant in play.grants.values())


def test_wrong_options_are_refused_by_name() -> None:
    with pytest.raises(
        UnknownName, match="unknown option of scheduler 'pcl' 'prompt'; did you mean 'prompts'"
    ):
        make("pcl", {"prompt": 4}, seed=0)
    with pytest.raises(UnknownName, match="unknown option of scheduler 'pcl' 'continuations'"):
        make("pcl", {"continuations": 4}, seed=0)
    with pytest.raises(BadConfig, match="scheduler 'dapo': n must be at least 2"):
        make("dapo", {"n": 1}, seed=0)
    with pytest.raises(
        BadConfig, match="'reinforce_ada': leave must be 'balanced' or 'positive', got 'never'"
    ):
        make("reinforce_ada", {"leave": "never"}, seed=0)
    with pytest.raises(UnknownName, match="unknown root rule 'trac'; did you mean 'trace'"):
        make("trace", {"roots": "trac"}, seed=0)


@pytest.mark.parametrize("off", [{}, {"cut_below": 0, "guide_share": 0.0}])
@pytest.mark.parametrize(
    ("option", "value", "switch"),
    [
        ("cut_spare", 0.5, "cut_below"),
        ("cut_after", 3, "cut_below"),
        ("guide_below", 0.3, "guide_share"),
        ("guide_continuations", 4, "guide_share"),
    ],
)
def test_an_option_without_its_switch_is_refused(
    option: str, value: float, switch: str, off: dict[str, float]
) -> None:
    with pytest.raises(BadConfig, match=f"{option} says nothing while {switch} is 0"):
        make("trace", {**off, option: value}, seed=0)
    make("trace", {option: value, switch: 0.2}, seed=0)
    make("trace", off, seed=0)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("uniform", {"n": 2.5}, "n must be a whole number, got 2.5"),
        ("pcl+treepo", {"per_root": 1.5}, "per_root must be a whole number, got 1.5"),
        ("trace", {"cold_steps": float("nan")}, "cold_steps must be a whole number, got nan"),
        ("trace", {"posterior": "False"}, "posterior must be true or false, got 'False'"),
        ("trace", {"fresh_roots": "no"}, "fresh_roots must be true or false, got 'no'"),
        ("trace", {"floors": 0.5}, "floors must be a table, each of whose values is a number, got 0.5"),
        ("trace_plus", {"queue": "off"}, "queue must be true or false, got 'off'"),
        ("dapo", {"cut_below": ""}, "cut_below must be a number, got ''"),
        ("dapo", {"guide_share": 0.5, "guide_continuations": 2.5}, "guide_continuations must be a whole"),
    ],
)
def test_an_option_of_another_type_is_refused(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(BadConfig, match=rf"scheduler '{re.escape(name)}': {re.escape(said)}"):
        make(name, options, seed=0)


def test_a_spec_spells_options() -> None:
    assert spelled("trace") == ("trace", {})
    spec = 'trace_plus?queue=true&per_cost=0.5&patience=3&prices={"token": 2}'
    options = {"queue": True, "per_cost": 0.5, "patience": 3, "prices": {"token": 2}}
    assert spelled(spec) == ("trace_plus", options)
    assert spelled("trace?roots=pcl") == ("trace", {"roots": "pcl"})
    with pytest.raises(BadConfig, match="options are written"):
        spelled("trace?epsilon")
