"""A hand-made tree: paths, leaves, outcomes, tokens, costs, and the tree as it was."""

import pytest

from trace_gym.core.budget import Cost
from trace_gym.core.check import Verdict
from trace_gym.core.episode import Actor, Episode, StopReason, Turn
from trace_gym.core.task import Split, Task
from trace_gym.core.tokens import floats, ids
from trace_gym.core.tree import Forest, RolloutTree

TASK = Task("1", "toy", Split.TRAIN, "f")


def turn(parent, rollout, *, passed=None, sampled=(1,), terminated=False):
    verdicts = () if passed is None else (Verdict.of("done", passed, evidence="seen"),)
    return Turn(
        parent,
        rollout,
        Actor.POLICY,
        "seen",
        verdicts=verdicts,
        context_ids=ids([9]),
        action_ids=ids(sampled),
        logprobs=floats([-1.0] * len(sampled)),
        terminated=terminated,
        cost=Cost(decoded=len(sampled), steps=1),
    )


@pytest.fixture
def tree():
    """Root 0; rollout 0 plays 1, 2 (success); rollout 1 forks at 1 and plays 3 (failure); rollout 2 is
    censored after 4."""
    grown = RolloutTree.planted(0, TASK)
    grown.start(grant=0, anchor=0)
    grown.append(turn(0, 0, sampled=(1, 2)))
    grown.append(turn(1, 0, passed=True, sampled=(3,), terminated=True))
    grown.stop(0, StopReason.TERMINATED)
    grown.start(grant=1, anchor=1)
    grown.append(turn(1, 1, passed=False, sampled=(4, 5), terminated=True))
    grown.stop(1, StopReason.TERMINATED)
    grown.start(grant=0, anchor=0)
    grown.append(turn(0, 2, passed=False, sampled=(6,)))
    grown.stop(2, StopReason.CENSORED)
    return grown


def test_derived_structure(tree):
    assert tree.path(3) == [1, 3]
    assert tree.depth(3) == 2
    assert tree.children() == [[1, 4], [2, 3], [], [], []]
    assert tree.leaves() == {2: 0, 3: 1}
    assert tree.outcomes() == {2: 1.0, 3: 0.0}
    assert tree.mixed
    assert sorted(tree.anchors()) == [0, 1, 4]
    assert tree.tokens(3).tolist() == [9, 1, 2, 9, 4, 5]
    assert tree.tokens(0).tolist() == []
    assert [tree.bare(i) for i in range(3)] == [True, False, True]


def test_a_censored_rollout_is_neither_success_nor_failure(tree):
    assert tree.outcome(2) is None
    assert tree.cost == Cost(trajectories=3, decoded=6, steps=4)
    assert Forest(0, [tree]).effective_ratio() == 1.0


def test_the_tree_as_it_was(tree):
    then = tree.as_of((4, 2), ended={0})
    assert len(then.turns) == 4
    assert [r.stop for r in then.rollouts] == [StopReason.TERMINATED, None]
    assert then.outcomes() == {2: 1.0}
    assert tree.as_of((4, 2), ended={0, 1}).outcomes() == {2: 1.0, 3: 0.0}


def test_nothing_follows_an_end_and_a_turn_needs_its_rollouts_tip(tree):
    with pytest.raises(ValueError, match="has ended"):
        tree.append(turn(2, 0))
    tree.start(grant=5, anchor=4)
    with pytest.raises(ValueError, match="its rollout stands at 4"):
        tree.append(turn(1, 3))
    with pytest.raises(ValueError, match="no node 99"):
        tree.start(grant=6, anchor=99)


def test_an_episode_cut_at_max_turns_without_a_finding_failed():
    def ended(stop, passed):
        return Episode(TASK, (turn(0, 0, passed=passed),), stop).success

    assert ended(StopReason.MAX_TURNS, None) is False
    assert ended(StopReason.MAX_TURNS, True) is True
    assert ended(StopReason.TERMINATED, None) is None
    assert ended(StopReason.CONTEXT, None) is False
    for stop in (StopReason.CENSORED, StopReason.CANCELLED, StopReason.INVALID):
        assert ended(stop, False) is None


def test_log_probs_belong_to_tokens():
    with pytest.raises(ValueError, match="1 log-probs for 2 sampled tokens"):
        Turn(0, 0, Actor.POLICY, "", action_ids=ids([1, 2]), logprobs=floats([-1.0]))


def test_a_forest_is_named_in_a_few_words() -> None:
    forest = Forest(3, [RolloutTree.planted(0, TASK)])
    assert repr(forest) == "Forest(step=3)"
