"""A step in numbers: of everything, and of every suite where there are several."""

from dataclasses import replace

from trace_gym.core.check import Verdict
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.rollout.summary import by_suite, described
from trace_gym.testing.trees import grow_forest, grow_tree, toy_task


def of(suite: str, index: int, *lines: str) -> RolloutTree:
    return grow_tree(*lines, index=index, task=replace(toy_task(index), suite=suite))


def test_every_suite_of_a_mixed_step_is_told_apart() -> None:
    trees = [of("a", 0, "0 3 2 +", "0 3 1 -"), of("b", 1, "0 2 -", "0 1 -"), of("b", 2, "0 4 +", "0 4 -")]
    told = by_suite(Forest(0, trees), ["a", "b"])
    assert {name.split("/")[1] for name in told} == {"a", "b"}
    assert (told["suite/a/tokens_sampled"], told["suite/b/tokens_sampled"]) == (9, 11)
    assert (told["suite/a/share_tokens"], told["suite/b/share_tokens"]) == (0.45, 0.55)
    assert (told["suite/a/effective_ratio"], told["suite/b/effective_ratio"]) == (1.0, 0.5)
    assert (told["suite/a/success_bare"], told["suite/b/success_bare"]) == (0.5, 0.25)
    assert (told["suite/a/env_seconds"], told["suite/b/env_seconds"]) == (0.5, 0.5)
    total = described(Forest(0, trees))
    for name in ("trees", "trajectories", "turns", "tokens_sampled"):
        assert told[f"suite/a/{name}"] + told[f"suite/b/{name}"] == total[name]


def test_what_checks_gained_is_told_of_bare_rollouts() -> None:
    """From half at the root: one rollout came to the whole, one stayed; a fork that lost all is left out."""
    tree = grow_tree("0 1 1 +", "0 1 -", "1 1 -")
    for node, score in enumerate((0.5, 0.5, 1.0, 0.5, 0.0)):
        verdicts = (Verdict.of("goal", score == 1.0, score=score, evidence=""),)
        tree.turns[node] = replace(tree.turns[node], verdicts=verdicts)
    assert described(Forest(0, [tree]))["progress_bare"] == 0.25


MEANS = {"success_bare", "progress_bare", "success_leaves"}


def test_a_mean_of_nothing_is_left_out_and_never_a_zero() -> None:
    assert not described(Forest(0, [])).keys() & MEANS
    assert not described(grow_forest(["0 1 !", "0 1 ?"])).keys() & MEANS, "invalid and censored alone"
    lost = described(grow_forest(["0 1 -"]))
    assert {name: lost[name] for name in MEANS} == dict.fromkeys(MEANS, 0.0)
    forks = described(grow_forest(["0 1 2 !", "1 1 +"]))
    assert forks.keys() & MEANS == {"success_leaves"}


def test_a_suite_that_was_not_played_is_told_and_one_alone_says_nothing_twice() -> None:
    forest = grow_forest(["0 1 +"], ["0 1 -"])
    told = by_suite(forest, ["idle", "toy"])
    assert (told["suite/toy/trajectories"], told["suite/idle/trajectories"]) == (2, 0)
    assert (told["suite/toy/share_tokens"], told["suite/idle/share_tokens"]) == (1.0, 0.0)
    assert told["suite/toy/success_bare"] == 0.5
    assert "suite/idle/success_bare" not in told
    assert by_suite(forest, ["toy"]) == {}
