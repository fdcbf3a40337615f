"""Cutting: when, whom not, and that the method inside goes on as it would."""

from collections.abc import Mapping
from typing import Any

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.episode import StopReason
from trace_gym.core.errors import BadConfig, UnknownName
from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import Candidate, Cut, TurnDone
from trace_gym.core.targets import bare_only, recursive_backup, taught
from trace_gym.core.tree import RolloutTree
from trace_gym.schedule.catalogue import asks, make
from trace_gym.schedule.cutting import CuttingScheduler
from trace_gym.schedule.uniform import Uniform
from trace_gym.testing import Trial, check_scheduler, grow_tree

POOL = [Candidate(0, "toy/t0", "toy", "f0", 20)]


def heard(tree: RolloutTree, said: Mapping[int, float], **options: Any) -> list[tuple[int, object]]:
    """Which answers a method that grants nothing more gives, by node, to every turn of a tree in turn."""
    scheduler = CuttingScheduler(Uniform(n=4), **options)
    scheduler.propose(POOL, Budget())
    answers: list[tuple[int, object]] = []
    for node, turn in enumerate(tree.turns[1:], start=1):
        known = {turn.parent: Prediction(said[turn.parent])} if turn.parent in said else {}
        answers += [
            (node, item) for item in scheduler.observe(tree, TurnDone(0, turn.rollout, node, (9, 9), known))
        ]
    return answers


def test_a_rollout_is_cut_where_it_first_is_hopeless_and_once() -> None:
    """Root 0, one rollout over 1 to 5; what is said at a prefix is known after the turn that follows it."""
    tree = grow_tree("0 1 1 1 1 1 .")
    said = {0: 0.01, 1: 0.5, 2: 0.1, 3: 0.09, 4: 0.01}
    assert heard(tree, said, below=0.1, spare=0.0) == [(4, Cut(0, 0, 0.09))]
    assert heard(tree, said, below=0.2, spare=0.0) == [(3, Cut(0, 0, 0.1))]
    assert heard(tree, said, below=0.1, spare=0.0, after=4) == [(5, Cut(0, 0, 0.01))]
    assert heard(tree, {0: 0.01}, below=0.1, spare=0.0) == [], "a root is never hopeless"
    assert heard(tree, {}, below=0.1, spare=0.0) == []


def test_a_drawn_part_plays_on_to_the_end() -> None:
    tree = grow_tree(*["0 1 1 1 1 ."] * 400)
    said = dict.fromkeys(range(len(tree.turns)), 0.05)
    cut = {item.rollout for _, item in heard(tree, said, below=0.1, spare=0.3) if isinstance(item, Cut)}
    assert 250 <= len(cut) <= 310, "70 % of 400, give or take three deviations"
    assert cut == {item.rollout for _, item in heard(tree, said, below=0.1, spare=0.3)}
    other = {item.rollout for _, item in heard(tree, said, below=0.1, spare=0.3, seed=1)}
    assert other != cut


def test_what_was_cut_is_a_failure_for_credit_and_worth_its_prediction_for_predictors() -> None:
    """Root 0; 1, 2 won; 3, 4, 5 cut after 5 for the .08 that was said at 4, of which it teaches nothing:
    values by hand."""
    tree = grow_tree("0 1 1 +", "0 1 1 1 .")
    tree.stop(1, StopReason.CUT, worth=0.08)
    assert tree.outcomes() == {2: 1.0, 5: 0.0}
    assert tree.values() == {2: 1.0, 5: 0.08}
    assert (tree.outcome(1), tree.mixed) == (False, True)
    backup = recursive_backup(tree)
    assert backup == {0: (pytest.approx(0.54), 2.0), 1: (1.0, 1.0), 2: (1.0, 1.0), 3: (0.08, 1.0)}
    assert sorted(bare_only(tree)) == [(0, 0.08), (0, 1.0), (1, 1.0), (2, 1.0), (3, 0.08)]
    assert (taught(tree, 0), taught(tree, 1)) == ([0, 1, 2], [0, 3])
    with pytest.raises(ValueError, match="what is cut has a worth"):
        grow_tree("0 1 1 .").stop(0, StopReason.CUT)
    with pytest.raises(ValueError, match="nothing else has"):
        grow_tree("0 1 1 .").stop(0, StopReason.CENSORED, worth=0.5)
    with pytest.raises(ValueError, match="a probability"):
        Cut(0, 0, 1.5)


@pytest.mark.parametrize("name", ["uniform", "trace", "trace_plus", "arpo", "trace_plus?queue=true"])
def test_any_method_cuts_and_keeps_the_protocol(name: str) -> None:
    method, _, queue = name.partition("?")
    options = {"cut_below": 0.5, "cut_spare": 0.25} | ({"queue": True} if queue else {})
    for seed in range(3):
        trial = Trial(seed=seed, trajectories=60, failures=0.1 * seed)
        check_scheduler(lambda: make(method, options, seed=1), trial=trial)


def test_without_a_threshold_nothing_is_wrapped_and_options_are_checked() -> None:
    assert isinstance(make("uniform", {"cut_below": 0}, seed=0), type(make("uniform", {}, seed=0)))
    assert isinstance(make("uniform", {"cut_below": 0.1}, seed=0), CuttingScheduler)
    assert asks("uniform", {"cut_below": 0.1})
    assert not asks("uniform", {"cut_below": 0.0})
    for wrong in ({"cut_below": 0.6}, {"cut_below": 0.1, "cut_spare": 1}, {"cut_below": 0.1, "cut_after": 0}):
        with pytest.raises(BadConfig, match="cut_"):
            make("uniform", wrong, seed=0)
    with pytest.raises(UnknownName, match="cut_below"):
        make("trace_plus", {"cut_belo": 0.1}, seed=0)
