"""Counting: posteriors by hand, forgetting, resuming, and whether it learns."""

import json

import numpy as np
import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.check import Status, Verdict
from trace_gym.core.predictor import Prefix
from trace_gym.core.tree import Forest
from trace_gym.schedule.beta import BetaPredictor, Targets
from trace_gym.schedule.quality import PredictionQuality, bare_samples
from trace_gym.schedule.trace import Trace
from trace_gym.schedule.uniform import Uniform
from trace_gym.testing import grow_forest


def root(task: str, suite: str = "world") -> Prefix:
    return Prefix(task, suite, 0, 5)


def four_rollouts(world) -> tuple[Forest, int]:
    """One prompt of two turns, four bare rollouts; returns how many won."""
    forest, _ = world(values=[0.5], turns=[2], seed=1).step(Uniform(4), Budget())
    return forest, sum(bool(forest.trees[0].outcome(n)) for n in range(4))


def test_nothing_learnt_says_one_half() -> None:
    [prediction] = BetaPredictor(strength=3.0).predict([root("world/0")])
    assert (prediction.mean, prediction.concentration) == (0.5, 3.0)
    assert prediction.tokens is None
    assert prediction.turns is None


def test_the_chain_by_hand(world) -> None:
    """Four rollouts, w won, of two turns: eight prefixes in the suite (each rollout's root and first turn),
    four at depth 0. With strength 2 each level has a prior of two rollouts at the mean above it:

        everything (2 * 1/2 + 2w) / 10, suite (2 m + 2w) / 10, depth (2 m + w) / 6, share, task the same.

    A rollout takes 10 tokens and 2 turns from the root, 5 and 1 from its first turn.
    """
    forest, won = four_rollouts(world)
    assert 0 < won < 4
    predictor = BetaPredictor(decay=1.0, strength=2.0)
    predictor.learn(forest)
    seen, unseen, foreign = predictor.predict([root("world/0"), root("world/9"), root("x", "other")])
    everything = (1 + 2 * won) / 10
    mean = (2 * everything + 2 * won) / 10
    for _ in range(2):
        mean = (2 * mean + won) / 6
    assert unseen.mean == pytest.approx(mean)
    assert unseen.concentration == 2.0
    assert seen.mean == pytest.approx((2 * mean + won) / 6)
    assert seen.concentration == 6.0
    assert foreign.mean == pytest.approx(everything)
    assert foreign.concentration == 2.0
    turns = 1.5
    for total, many in ((12, 8), (8, 4), (8, 4), (8, 4)):
        turns = (2 * turns + total) / (2 + many)
    assert seen.turns == pytest.approx(turns)
    assert seen.tokens == pytest.approx(5 * turns)


def test_checks_passed_tell_prefixes_apart(world) -> None:
    """The share counts where a check has a finding, and an unseen share is judged by its depth. The root's
    verdicts do not count, for a candidate is judged before its environment was reset."""
    predictor = BetaPredictor(decay=1.0)
    predictor.learn(four_rollouts(world)[0])
    passed = Verdict.of("a", True, evidence="")
    open_ = Verdict("a", Status.SKIPPED, 0.0, "")
    at = [Prefix("new", "world", 1, 5, verdicts) for verdicts in ((), (passed,), (open_,))]
    none, all_, skipped = predictor.predict(at)
    assert none == skipped == all_
    failed = Verdict.of("a", False, evidence="")
    known, new = predictor.predict([Prefix(task, "world", 1, 5, (failed,)) for task in ("world/0", "new")])
    assert known.concentration == 6.0
    assert new.concentration == all_.concentration == 2.0
    assert len({known.mean, new.mean, all_.mean}) == 3
    with_verdict, bare = predictor.predict([Prefix("world/0", "world", 0, 5, (passed,)), root("world/0")])
    assert with_verdict == bare


def test_counts_fade_and_are_forgotten(world) -> None:
    """With decay 1/2 the record of four rollouts is worth 2 a step later and is dropped below 1/10."""
    forest, _ = four_rollouts(world)
    predictor = BetaPredictor(decay=0.5, strength=2.0, forget=0.1)
    predictor.learn(forest)
    cells = len(predictor.state_dict()["cells"])
    empty = Forest(1, [])
    assert predictor.predict([root("world/0")])[0].concentration == 6.0
    predictor.learn(empty)
    assert predictor.predict([root("world/0")])[0].concentration == 4.0
    assert len(predictor.state_dict()["cells"]) == cells
    for _ in range(6):
        predictor.learn(empty)
    assert predictor.state_dict()["cells"] == []
    assert predictor.predict([root("world/0")])[0].mean == 0.5


def test_continuations_count_only_where_asked(world) -> None:
    """Root counts are of bare rollouts under either option; continuations add to prefixes under OWN."""
    forest, _ = world(values=[0.5], turns=[3]).step(Trace(4, 2), Budget(trajectories=12))
    bare, own = BetaPredictor(decay=1.0), BetaPredictor(decay=1.0, targets=Targets.OWN)
    bare.learn(forest)
    own.learn(forest)
    sums = [{tuple(key): seen for key, seen, *_ in p.state_dict()["cells"]} for p in (bare, own)]
    assert sums[0]["world", 0] == sums[1]["world", 0] == 4
    assert sums[0]["world", 1] + sums[0]["world", 2] == 8
    assert sums[1]["world", 1] + sums[1]["world", 2] > 8


def test_state_goes_through_json(world) -> None:
    play = world(values=[0.2, 0.6, 0.9], turns=[2, 3, 1])
    scheduler, one = Trace(6, 1), BetaPredictor()
    for _ in range(3):
        one.learn(play.step(scheduler, Budget(trajectories=12))[0])
    two = BetaPredictor()
    two.load_state_dict(json.loads(json.dumps(one.state_dict())))
    forest, _ = play.step(scheduler, Budget(trajectories=12))
    asked = [root("world/0"), root("world/1"), Prefix("world/1", "world", 1, 3), root("new")]
    assert one.predict(asked) == two.predict(asked)
    assert one.learn(forest) == two.learn(forest)
    assert one.state_dict() == two.state_dict()


def test_it_learns_which_tasks_are_hard(world) -> None:
    """Over tasks at .05 and .95 its Brier score falls below the constant's, and it ranks tasks."""
    play = world(values=[0.05, 0.95] * 10, turns=[2] * 20)
    predictor, quality, scheduler = BetaPredictor(), PredictionQuality(), Uniform(2)
    for step in range(8):
        play.seed = step
        forest, _ = play.step(scheduler, Budget())
        metrics = quality.measure(bare_samples(forest, predictor))
        own = predictor.learn(forest)
        assert own["brier_root"] == metrics["brier_root"]
        assert own["brier_prefix"] == metrics["brier_prefix"]
    assert metrics["brier_root"] < 0.5 * metrics["brier_root_constant"]
    assert metrics["auc_root"] > 0.9
    means = [p.mean for p in predictor.predict([root(f"world/{i}") for i in range(20)])]
    assert np.max(means[::2]) < np.min(means[1::2])


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"decay must lie in \(0, 1\]"):
        BetaPredictor(decay=0.0)
    with pytest.raises(ValueError, match="strength must be positive"):
        BetaPredictor(strength=0.0)
    with pytest.raises(ValueError, match="shares must be at least 1"):
        BetaPredictor(shares=0)
    with pytest.raises(ValueError, match="forget must lie in"):
        BetaPredictor(forget=0.0)


def test_checks_may_be_left_out() -> None:
    """With them a prefix whose check passed is judged apart; without it is one of its depth."""
    passed, failed = (
        Prefix("toy/t0", "toy", 1, 20, (Verdict.of("done", won, evidence=""),)) for won in (True, False)
    )
    forest = grow_forest(["0 1 1 +"], ["0 1 1 -"])
    heard, deaf = BetaPredictor(), BetaPredictor(verdicts=False)
    for predictor in (heard, deaf):
        predictor.learn(forest)
    one, two = heard.predict([passed, failed])
    assert one.concentration != two.concentration
    one, two = deaf.predict([passed, failed])
    assert one == two


def test_targets_may_be_spelled() -> None:
    assert BetaPredictor(targets="own").predict([root("x")]) == BetaPredictor(targets=Targets.OWN).predict(
        [root("x")]
    )
    with pytest.raises(ValueError, match="'mine' is not a valid Targets"):
        BetaPredictor(targets="mine")
