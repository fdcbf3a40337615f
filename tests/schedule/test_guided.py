"""Guiding: who is shown a solution, where play goes on from it, and that the method inside is left alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from trace_gym.core.budget import Budget
from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, StopReason, Turn
from trace_gym.core.errors import BadConfig
from trace_gym.core.predictor import Prediction
from trace_gym.core.scheduler import Answer, Candidate, EpisodeDone, Grant, GrantFailed
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.schedule.catalogue import asks, make
from trace_gym.schedule.guided import DECAY, FIRST, GuidedScheduler
from trace_gym.schedule.uniform import Uniform
from trace_gym.testing import Trial, check_scheduler, grow_tree
from trace_gym.testing.trees import toy_task

MEANS = (0.05, 0.5, 0.1, 0.9, 0.15, None)


def pool(means: Sequence[float | None] = MEANS) -> list[Candidate]:
    return [
        Candidate(i, f"toy/t{i}", "toy", f"f{i}", 20, None if mean is None else Prediction(mean))
        for i, mean in enumerate(means)
    ]


class Inner(Uniform):
    """Notes what it is asked and told."""

    def __init__(self) -> None:
        super().__init__(n=2)
        self.offered: tuple[list[int], float] = ([], 0.0)
        self.heard: list[int] = []
        self.learnt: list[int] = []

    def propose(self, pool: Sequence[Candidate], budget: Budget) -> Sequence[Grant]:
        self.offered = ([candidate.index for candidate in pool], budget.left("trajectories"))
        return super().propose(pool, budget)

    def observe(self, tree: RolloutTree, event: Any) -> Sequence[Answer]:
        self.heard.append(tree.index)
        return super().observe(tree, event)

    def learn(self, forest: Forest) -> dict[str, float]:
        self.learnt = [tree.index for tree in forest.trees]
        return {"inner": 1.0}


def shown(index: int, *, turns: int = 4, won: bool = True) -> RolloutTree:
    """What the oracle has played."""
    tree = grow_tree(f"0 {'1 ' * turns}{'*' if won else '-'}", index=index)
    tree.rollouts[0] = replace(tree.rollouts[0], stop=StopReason.SHOWN)
    return tree


def test_a_part_goes_to_hopeless_prompts_and_the_rest_is_the_inner_methods() -> None:
    """.5 of 20 pay one trajectory and four continuations for two of the three prompts below .2."""
    inner = Inner()
    guided = GuidedScheduler(inner, share=0.5, below=0.2, continuations=4)
    grants = guided.propose(pool(), Budget(trajectories=20))
    mine = [grant for grant in grants if grant.actor is Actor.ORACLE]
    assert len(mine) == 2
    assert {grant.anchor.tree for grant in mine} < {0, 2, 4}
    assert [(grant.number, grant.count, grant.anchor.node) for grant in mine] == [
        (FIRST + 1, 1, 0),
        (FIRST + 2, 1, 0),
    ]
    assert "below 0.2: the oracle shows it" in mine[0].reason
    others = sorted(set(range(6)) - {grant.anchor.tree for grant in mine})
    assert inner.offered == (others, 10.0)
    assert {grant.anchor.tree for grant in grants if grant.actor is Actor.POLICY} <= set(others)


@pytest.mark.parametrize(
    ("means", "count"), [((0.5, 0.6, None), 0), ((0.1, 0.1), 1), ((0.1,) * 9, 2), ((None,) * 4, 0)]
)
def test_never_more_than_half_of_the_pool_than_hopeless_or_than_the_share_pays(
    means: Sequence[float | None], count: int
) -> None:
    guided = GuidedScheduler(Inner(), share=0.5, below=0.2, continuations=4)
    grants = guided.propose(pool(means), Budget(trajectories=20))
    assert sum(grant.actor is Actor.ORACLE for grant in grants) == count


def started(guided: GuidedScheduler, tree: RolloutTree) -> Sequence[Answer]:
    """The answer to the end of the oracle's rollout in a step of which this prompt is the only one."""
    guided.propose(pool((0.1,) * tree.index + (0.05, 0.5)), Budget(trajectories=12))
    guided._mine = {tree.index}
    return guided.observe(tree, EpisodeDone(tree.index, 0))


def test_play_goes_on_where_both_outcomes_are_likely() -> None:
    """Four turns 1 to 4: with 1, 2 and 3 left play starts at 3, 2 and 1. What is known leaves no doubt."""
    state = GuidedScheduler(Uniform(n=2), share=0.5, continuations=5).state_dict()
    for mixed, anchor in ((1, 3), (2, 2), (3, 1)):
        guided = GuidedScheduler(Uniform(n=2), share=0.5, continuations=5)
        known = [[left, 500.0, 500.0] if left == mixed else [left, 0.0, 1000.0] for left in (1, 2, 3)]
        guided.load_state_dict({**state, "records": {"toy": known}})
        (grant,) = started(guided, shown(0))
        assert isinstance(grant, Grant)
        assert (grant.anchor.node, grant.count, grant.actor) == (anchor, 5, Actor.POLICY)
        assert grant.reason.startswith(f"{mixed} of the oracle's 4 turns are left, from where 500.0 succ")


@pytest.mark.parametrize("tree", [shown(0, won=False), shown(0, turns=1)])
def test_nothing_starts_from_a_solution_that_is_none_or_has_no_middle(tree: RolloutTree) -> None:
    assert started(GuidedScheduler(Uniform(n=2), share=0.5), tree) == ()


def test_a_solution_that_broke_starts_nothing() -> None:
    guided = GuidedScheduler(Inner(), share=0.5, continuations=4)
    grants = guided.propose(pool((0.05, 0.5, 0.5)), Budget(trajectories=12))
    (mine,) = (grant for grant in grants if grant.actor is Actor.ORACLE)
    tree = RolloutTree.planted(0, toy_task())
    tree.start(grant=mine.number, anchor=0)
    assert guided.observe(tree, GrantFailed(0, mine.number, 0, "environment")) == ()  # type: ignore[arg-type]


def test_continuations_that_no_solution_earned_are_unspent() -> None:
    """A half of 60 trajectories is kept for six prompts, one for the oracle and four for what starts from it;
    every oracle fails, and 24 are left over."""
    guided = GuidedScheduler(Uniform(n=2), share=0.5, continuations=4)
    grants: list[Answer] = list(guided.propose(pool((0.05,) * 20 + (0.5,) * 20), Budget(trajectories=60)))
    trees = {index: RolloutTree.planted(index, toy_task()) for index in range(40)}
    lost, used = (Verdict.of("done", False, evidence=""),), 0
    for grant in grants:
        assert isinstance(grant, Grant)
        for _ in range(grant.count):
            tree, used = trees[grant.anchor.tree], used + 1
            rollout = tree.start(grant=grant.number, anchor=0)
            tree.append(Turn(0, rollout, grant.actor, "", lost, terminated=True))
            shows = grant.actor is Actor.ORACLE
            tree.stop(rollout, StopReason.SHOWN if shows else StopReason.TERMINATED)
            grants += guided.observe(tree, EpisodeDone(tree.index, rollout))
    metrics = guided.learn(Forest(0, [tree for tree in trees.values() if tree.rollouts]))
    assert (used, metrics["unspent"], metrics["guided"]) == (36, 24.0, 0.0)


def test_outcomes_are_remembered_by_the_turns_left_and_fade() -> None:
    """Three continuations from node 2 of four turns, two turns left: one won."""
    inner = Inner()
    guided = GuidedScheduler(inner, share=0.5, continuations=3)
    guided.load_state_dict(
        {"seed": 0, "step": 0, "records": {"toy": [[2, 50.0, 50.0]]}, "inner": inner.state_dict()}
    )
    tree = shown(0, turns=3)
    (grant,) = started(guided, tree)
    assert isinstance(grant, Grant)
    tree = grow_tree("0 1 1 1 *", f"{grant.anchor.node} 1 +", f"{grant.anchor.node} 1 -", index=0)
    other = grow_tree("0 1 +", index=1)
    told = guided.learn(Forest(0, [tree, other]))
    assert inner.learnt == [1], "the method inside learns from its own prompts"
    assert inner.heard == []
    left = 3 - grant.anchor.node
    assert told == {"inner": 1.0, "guided": 1.0, "guided_contrast": 1.0, "guided_turns_left": float(left)}
    known = dict((row[0], row[1:]) for row in guided.state_dict()["records"]["toy"])
    before = (50.0 * DECAY, 50.0 * DECAY) if left == 2 else (0.0, 0.0)
    assert known[left] == [before[0] + 1, before[1] + 1]
    assert known[2][0] >= 50.0 * DECAY


@pytest.mark.parametrize("name", ["uniform", "pcl", "trace", "trace_plus", "trace_plus?queue=true", "arpo"])
@pytest.mark.parametrize("cuts", [{}, {"cut_below": 0.5}])
def test_any_method_is_guided_and_keeps_the_protocol(name: str, cuts: dict[str, float]) -> None:
    method, _, queue = name.partition("?")
    options = {"guide_share": 0.4, "guide_below": 0.5, "guide_continuations": 3, **cuts}
    options |= {"queue": True} if queue else {}
    for seed in range(3):
        trial = Trial(seed=seed, trajectories=60, failures=0.1 * seed)
        check_scheduler(lambda: make(method, options, seed=1), trial=trial)


def test_without_a_share_nothing_is_wrapped_and_options_are_checked() -> None:
    assert isinstance(make("uniform", {"guide_share": 0}, seed=0), type(make("uniform", {}, seed=0)))
    assert isinstance(make("uniform", {"guide_share": 0.1}, seed=0), GuidedScheduler)
    assert asks("uniform", {"guide_share": 0.1})
    assert not asks("uniform", {"guide_share": 0.0})
    for wrong in ({"guide_below": 0.0}, {"guide_continuations": 1}):
        with pytest.raises(BadConfig, match="guide_"):
            make("uniform", {"guide_share": 0.2, **wrong}, seed=0)
    with pytest.raises(BadConfig, match="guide_share"):
        make("uniform", {"guide_share": 1.0}, seed=0)
    with pytest.raises(ValueError, match="step_trajectories"):
        make("uniform", {"guide_share": 0.1}, seed=0).propose(pool(), Budget(tokens=100))
