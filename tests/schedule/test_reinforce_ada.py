"""Reinforce-Ada by hand: who leaves after which round."""

import numpy as np
import pytest

from trace_gym.core.budget import Budget
from trace_gym.schedule.compose import Composed
from trace_gym.schedule.reinforce_ada import Exit, ReinforceAdaRoots
from trace_gym.schedule.rule import Standing
from trace_gym.schedule.uniform import NoForks


@pytest.mark.parametrize(
    ("leave", "wins", "losses", "rounds", "left", "count"),
    [
        ("balanced", 1, 7, 1, 40, 8),
        ("balanced", 2, 6, 1, 40, 0),
        ("balanced", 7, 1, 1, 40, 8),
        ("balanced", 1, 31, 4, 40, 0),
        ("balanced", 0, 8, 1, 3, 3),
        ("balanced", 0, 8, 1, 0, 0),
        ("balanced", 0, 8, 1, None, 8),
        ("positive", 1, 7, 1, 40, 0),
        ("positive", 0, 8, 1, 40, 8),
        ("positive", 8, 0, 1, 40, 0),
    ],
)
def test_who_gets_another_round(
    world, leave: str, wins: int, losses: int, rounds: int, left: int | None, count: int
) -> None:
    """keep = 4: two of each make a prompt balanced."""
    pool = world(values=[0.5], turns=[1]).pool()
    standings = {0: Standing(wins + losses, 0, wins, losses, rounds)}
    rule = ReinforceAdaRoots(8, leave=leave)
    again = rule.again(0, pool, standings, limit=left, rng=np.random.default_rng(0))
    assert sum(choice.count for choice in again) == count


def test_a_whole_step(world) -> None:
    """Two prompts of 2 a round; 20 trajectories begin five prompts, here all two. The hopeless one is sampled
    in all four rounds."""
    play = world(values=[0.0, 0.5], turns=[1, 1], seed=3)
    forest, metrics = play.step(Composed(ReinforceAdaRoots(2, keep=2), NoForks()), Budget(trajectories=20))
    assert len(forest.trees[0].rollouts) == 8
    assert forest.trees[1].mixed
    assert len(forest.trees[1].rollouts) < 8
    assert metrics["unspent"] == 20 - metrics["roots"]
    reasons = [grant.reason for grant in play.grants.values() if grant.anchor.tree == 0]
    assert reasons == ["round 1 of at most 4: 2 roots"] + [
        f"round {k} of at most 4: 0 successes and {2 * k - 2} failures so far" for k in (2, 3, 4)
    ]


def test_half_the_budget_is_kept_for_later_rounds(world) -> None:
    pool = world(values=[0.5] * 9, turns=[1] * 9).pool()

    def begun(limit: int | None, **options) -> int:
        rule = ReinforceAdaRoots(4, **options)
        return len(rule.choose(pool, limit, step=0, rng=np.random.default_rng(0)))

    assert begun(32) == 4
    assert begun(32, rounds=1) == 8
    assert begun(32, prompts=6) == 6
    assert begun(5) == 1
    assert begun(3) == 0
    assert begun(None) == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples and rounds must be at least 1"),
        ({"rounds": 0}, "samples and rounds must be at least 1"),
        ({"keep": 1}, "keep must be at least 2"),
        ({"prompts": 0}, "prompts must be at least 1"),
        ({"leave": "never"}, "'never' is not a valid Exit"),
    ],
)
def test_bad_numbers_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReinforceAdaRoots(**options)


def test_exits_have_names() -> None:
    assert [str(each) for each in Exit] == ["balanced", "positive"]
