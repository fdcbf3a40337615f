"""TRACE's two stages in whole steps: tables by hand, and what the paper leaves open."""

import numpy as np
import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import Candidate
from trace_gym.schedule.belief import Belief
from trace_gym.schedule.rule import Played, Trajectory
from trace_gym.schedule.trace import Trace, TraceForks, TraceRoots


def trajectory(rollout: int, success: bool, first: int, *values: float) -> Trajectory:
    """A trajectory with V~ `values` at its non-leaf prefixes, which are nodes `first`, `first` + 1, ..."""
    predictions = {first + turn: Prediction(v) for turn, v in enumerate(values)}
    return Trajectory(rollout, success, tuple(predictions), predictions)


@pytest.fixture
def played(world) -> Played:
    """A failure with V~ .6, .3 at turns 1 and 2, and a success with .8, .9."""
    tree = world(values=[0.5], turns=[3]).plant(0)
    return Played(tree, (trajectory(0, False, 1, 0.6, 0.3), trajectory(1, True, 4, 0.8, 0.9)))


def counts(rule: TraceForks, played: Played, count: int) -> dict[int, int]:
    choices = rule.choose(played, count, step=0, rng=np.random.default_rng(0))
    return {choice.place: choice.count for choice in choices}


def test_a_step_by_hand(world) -> None:
    """B = 21 and N = 2 make M = 7. V~ = .5, .2, .1 get 4, 3 and 0 roots (test_contrast has the table); the
    first earns 8 continuations and the second 6."""
    play = world(values=[0.1, 0.5, 0.2], turns=[3, 3, 3])
    _, metrics = play.step(Trace(), Budget(trajectories=21))
    roots = {g.anchor.tree: g.count for g in play.grants.values() if g.anchor.node == 0}
    forks = [g for g in play.grants.values() if g.anchor.node]
    assert roots == {1: 4, 2: 3}
    assert [sum(g.count for g in forks if g.anchor.tree == i) for i in (1, 2)] == [8, 6]
    assert metrics["prompts_filtered"] == 1
    assert metrics["unspent"] == 0
    assert metrics["roots_contrast_predicted"] == pytest.approx((0.875 + 0.48) / 2)


def test_reasons_carry_the_numbers(world, played: Played) -> None:
    play = world(values=[0.31], turns=[3])
    [grant] = Trace(3).propose(play.pool(), Budget(trajectories=9))
    assert grant.reason == "V~=0.31, 3 roots are mixed with p=0.64"
    [first, *_] = TraceForks(1).choose(played, 3, step=0, rng=np.random.default_rng(0))
    assert (
        first.reason == "turn 1 of a failure, V~=0.60: each of 2 flips with p=0.60, one of them with p=0.84"
    )


def test_prefixes_of_one_prompt_by_hand(played: Played) -> None:
    """Flips are .6 and .3 for the failure, .2 and .1 for the success. Continuations are worth

        .6 .24 .096 | .3 .21 .147 | .2 .16 .128 | .1 .09

    so one goes to .6, the second to .3, then .24, .21, .2, .16, .147.
    """
    rule = TraceForks(1)
    assert counts(rule, played, 2) == {1: 1, 2: 1}
    assert counts(rule, played, 4) == {1: 2, 2: 2}
    assert counts(rule, played, 5) == {1: 2, 2: 2, 4: 1}
    assert counts(rule, played, 7) == {1: 2, 2: 3, 4: 2}


def test_the_bare_prompt_as_a_prefix(played: Played) -> None:
    """With t = 0 counted, the root competes once for each trajectory: V~ = .5 there (no prediction) flips
    either with .5, so two continuations of three go there."""
    assert counts(TraceForks(1, root_prefix=True), played, 3) == {1: 1, 0: 2}
    assert 0 not in counts(TraceForks(1), played, 8)


def test_whole_steps_with_the_bare_prompt(world) -> None:
    play = world(values=[0.5], turns=[1])
    forest, metrics = play.step(Trace(3, 2, root_prefix=True), Budget(trajectories=9))
    assert metrics["forks"] == metrics["forks_at_0"] == 6
    assert metrics["fresh_roots"] == 0
    assert "forks_contrast" not in metrics
    assert len(forest.trees[0].rollouts) == 9


def test_without_a_predictor_prompts_and_prefixes_are_random(world) -> None:
    """Everything ties at .5: over the steps every prompt is played about as often, and every depth forked."""
    play = world(values=[0.05, 0.95, 0.3, 0.5, 0.5, 0.5], turns=[4] * 6, predicts=False)
    scheduler = Trace(6, 1, seed=1)
    times, depths = np.zeros(6), np.zeros(4)
    for _ in range(150):
        _, metrics = play.step(scheduler, Budget(trajectories=12))
        for grant in play.grants.values():
            if grant.anchor.node == 0:
                times[grant.anchor.tree] += 1
                assert grant.propensity == pytest.approx(2 / 6)
                reason = "V~=0.50 (no prediction), 3 roots are mixed with p=0.75, drawn from ties with p=0.33"
                assert grant.reason == reason
            else:
                assert grant.reason.endswith(f", drawn from ties with p={grant.propensity:.2f}")
        depths += [metrics.get(f"forks_at_{d}", 0.0) for d in range(4)]
    assert times.sum() == 300
    assert times.min() > 30
    assert depths[0] == 0
    assert depths[1:].min() > 250


def test_propensities_of_ties(world) -> None:
    """V~ = .5 is bought for sure, then one of three at .3."""
    play = world(values=[0.3, 0.5, 0.3, 0.3], turns=[2] * 4)
    grants = Trace(6).propose(play.pool(), Budget(trajectories=18))
    assert sorted((grant.count, grant.propensity) for grant in grants) == [
        (3, pytest.approx(1 / 3)),
        (3, 1.0),
    ]


def test_epsilon_keeps_prompts_from_starving(world) -> None:
    """Ten roots, a share of .2: a pair goes to a prompt drawn from all, eight roots to V~ = .5."""
    play = world(values=[0.5, 0.5, 0.5, 0.02, 0.02, 0.02, 0.02], turns=[1] * 7)
    starved, shared = Trace(8, 1), Trace(10, 1, epsilon=0.2)
    seen: set[int] = set()
    for _ in range(60):
        play.step(starved, Budget(trajectories=16))
        assert {grant.anchor.tree for grant in play.grants.values()} == {0, 1, 2}
        play.step(shared, Budget(trajectories=20))
        roots = [grant for grant in play.grants.values() if "fresh" not in grant.reason]
        drawn = [grant for grant in roots if grant.reason.startswith("drawn at random (epsilon=0.2)")]
        assert sum(grant.count for grant in roots) == 10
        assert [grant.count for grant in drawn] == [2]
        seen |= {grant.anchor.tree for grant in drawn}
    assert seen == set(range(7))


@pytest.mark.parametrize("posterior", [False, True])
@pytest.mark.parametrize(("values", "roots"), [((0.5,) * 6, 32), ((0.5, 0.02, 0.3), 24)])
def test_epsilon_leaves_no_root_unplaced_that_the_cap_has_room_for(
    values: tuple[float, ...], roots: int, posterior: bool
) -> None:
    """A half of 32 roots goes to 6 or 3 drawn prompts in pairs, which is everybody; 8 each are allowed."""
    pool = [Candidate(i, f"t{i}", "s", "f", 5, Prediction(v, 20.0)) for i, v in enumerate(values)]
    rule = TraceRoots(epsilon=0.5, posterior=posterior)
    chosen = rule.choose(pool, 32, step=0, rng=np.random.default_rng(0))
    counts = [choice.count for choice in chosen]
    assert sum(counts) == roots
    assert min(counts) >= 2
    assert max(counts) <= 8
    assert all(choice.reason.startswith("drawn at random") for choice in chosen)


def test_of_drawn_prompts_the_rest_goes_where_it_adds_most() -> None:
    """Six roots for prompts at .5 and .02, both drawn: .5 gets the two that are left."""
    pool = [Candidate(i, f"t{i}", "s", "f", 5, Prediction(v)) for i, v in enumerate((0.02, 0.5))]
    chosen = TraceRoots(epsilon=1.0).choose(pool, 6, step=0, rng=np.random.default_rng(0))
    assert {choice.place: choice.count for choice in chosen} == {0: 2, 1: 4}


def test_a_cold_start_ignores_the_predictor(world) -> None:
    play = world(values=[0.5, 0.01, 0.01, 0.01], turns=[2] * 4)
    scheduler = Trace(3, 1, cold_steps=20)
    cold: set[int] = set()
    for _ in range(20):
        play.step(scheduler, Budget(trajectories=6))
        assert "(cold start)" in play.grants[0].reason
        cold |= {grant.anchor.tree for grant in play.grants.values()}
    assert cold == {0, 1, 2, 3}
    play.step(scheduler, Budget(trajectories=6))
    assert {grant.anchor.tree for grant in play.grants.values()} == {0}


def test_failed_roots_reduce_the_continuations(world) -> None:
    """All roots fail: nothing is continued; the step closes with what they would have earned unspent."""
    play = world(values=[0.5], turns=[3], breaks=1.0)
    _, metrics = play.step(Trace(4, 2), Budget(trajectories=12))
    assert metrics["failed"] == 4
    assert metrics["forks"] == metrics["fresh_roots"] == 0
    assert metrics["unspent"] == 8


def test_m_comes_from_roots_or_budget(world) -> None:
    play = world(values=[0.5, 0.5, 0.5], turns=[2] * 3)
    roots = TraceRoots(4).choose(play.pool(), 6, step=0, rng=np.random.default_rng(0))
    assert sum(choice.count for choice in roots) == 4
    roots = TraceRoots(9).choose(play.pool(), 6, step=0, rng=np.random.default_rng(0))
    assert sum(choice.count for choice in roots) == 6
    _, unlimited = play.step(Trace(6, 2), Budget())
    assert unlimited["roots"] + unlimited["forks"] == 18
    with pytest.raises(ValueError, match="needs a budget of trajectories or a number of roots"):
        Trace().propose(play.pool(), Budget(tokens=1000))


def test_a_single_affordable_root_is_not_bought(world) -> None:
    play = world(values=[0.5], turns=[2])
    forest, metrics = play.step(Trace(), Budget(trajectories=5))
    assert forest.trees == []
    assert metrics["unspent"] == 5


def test_what_it_wants_to_know() -> None:
    assert Trace(32, 2, pool_factor=1.5).pool_size == 48
    assert Trace().pool_size is None
    assert Trace().forks
    assert not Trace().hears_turns


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Trace(1), "roots must be at least 2"),
        (lambda: Trace(8, 0), "continuations must be at least 1"),
        (lambda: Trace(8, cap=1), "cap must be at least 2"),
        (lambda: Trace(8, pool_factor=0.0), "pool_factor must be positive"),
        (lambda: Trace(8, epsilon=1.5), r"epsilon must lie in \[0, 1\]"),
        (lambda: Belief(prior=1.0), r"prior must lie in \(0, 1\)"),
        (lambda: Belief(cold_steps=-1), "cold_steps must not be negative"),
    ],
)
def test_bad_numbers_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
