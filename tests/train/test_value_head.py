"""The learned predictor: it learns what its features tell, says how sure it is, and resumes exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trace_gym.core.check import Verdict
from trace_gym.core.episode import StopReason
from trace_gym.core.predictor import Prefix
from trace_gym.core.targets import bare_only, prefixes
from trace_gym.core.tokens import floats
from trace_gym.core.tree import Forest, RolloutTree
from trace_gym.train.calibration import Calibration
from trace_gym.train.features import PLAIN, Records, plain_features
from trace_gym.train.value_head import ValueHead

DEPTH = 4


class World:
    """Tasks of hidden difficulty: the first number of the state is the log-odds of success, the others
    noise."""

    def __init__(self, gardeners: Any, seed: int = 0, *, hidden: int = 8) -> None:
        self.gardeners = gardeners
        self.rng = np.random.default_rng(seed)
        self.hidden = hidden

    def forest(self, step: int, *, tasks: int = 30, roots: int = 3, forks: int = 3) -> Forest:
        garden = self.gardeners(step)
        for _ in range(tasks):
            tree = garden.plant()
            tree.task = replace(tree.task, id=f"{step}-{tree.index}")
            odds = float(self.rng.normal(0.0, 2.5))
            for i in range(roots + forks):
                anchor = 0 if i < roots else int(self.rng.choice([n for n in tree.anchors() if n]))
                chance = 1.0 / (1.0 + np.exp(-odds))
                turns = DEPTH - tree.depth(anchor)
                garden.play(tree, bool(self.rng.random() < chance), turns=turns, anchor=anchor)
            self.colour(tree, odds)
        made: Forest = garden.forest(step)
        return made

    def colour(self, tree: RolloutTree, odds: float) -> None:
        states = {n: self.state(odds) for n in range(len(tree.turns))}
        for node in range(1, len(tree.turns)):
            turn = tree.turns[node]
            tree.turns[node] = replace(turn, hidden=states[turn.parent])

    def state(self, odds: float) -> Any:
        return floats([odds, *self.rng.standard_normal(self.hidden - 1)])


def brier(head: ValueHead, forest: Forest) -> tuple[float, float]:
    """(Brier score of the head, that of the best constant) over bare rollouts."""
    means, outcomes = [], []
    for tree in forest.trees:
        labels = [(n, r) for n, r in bare_only(tree) if n not in tree.leaves()]
        means += [p.mean for p in head.predict(prefixes(tree, [n for n, _ in labels]))]
        outcomes += [r for _, r in labels]
    found, truth = np.array(means), np.array(outcomes)
    return float(np.mean((found - truth) ** 2)), float(np.var(truth))


def prefix(task: str = "fake/x", **options: Any) -> Prefix:
    return Prefix(task, "fake", options.pop("depth", 0), DEPTH, **options)


@pytest.mark.parametrize("targets", ["own", "backup"])
def test_it_learns_what_the_state_tells(gardeners: Any, targets: Any) -> None:
    world, head = World(gardeners), ValueHead(targets=targets, lr=3e-3)
    for step in range(6):
        metrics = head.learn(world.forest(step))
    learnt, constant = brier(head, world.forest(99))
    assert learnt < 0.75 * constant
    assert metrics["brier_root"] < 0.2
    easy, hard = head.predict([prefix(hidden=world.state(odds)) for odds in (4.0, -4.0)])
    assert easy.mean > 0.75
    assert hard.mean < 0.25


def test_it_learns_from_checks_and_depth_where_there_is_no_state(gardeners: Any) -> None:
    """Success comes to those whose check `half` has passed; no hidden state anywhere."""
    rng = np.random.default_rng(0)
    head = ValueHead(lr=3e-3)
    for step in range(6):
        garden = gardeners(step)
        for _ in range(40):
            tree = garden.plant()
            for _ in range(2):
                ahead = bool(rng.random() < 0.5)
                nodes = garden.play(tree, bool(rng.random() < (0.9 if ahead else 0.1)), turns=2)
                half = Verdict.of("half", ahead, evidence="", required=False)
                turn = tree.turns[nodes[0]]
                tree.turns[nodes[0]] = replace(turn, verdicts=(*turn.verdicts, half))
        head.learn(garden.forest(step))
    goal = Verdict.of("goal", False, evidence="")
    asked = [
        Prefix(
            "fake/new", "fake", 1, 20, verdicts=(goal, Verdict.of("half", ahead, evidence="", required=False))
        )
        for ahead in (True, False)
    ]
    ahead, behind = head.predict(asked)
    assert ahead.mean > 0.7
    assert behind.mean < 0.3


def test_a_missing_state_falls_back_to_the_other_features(gardeners: Any) -> None:
    world, head = World(gardeners), ValueHead()
    head.learn(world.forest(0))
    (blind,) = head.predict([prefix()])
    assert 0.2 < blind.mean < 0.8


def test_before_anything_is_learnt(gardeners: Any) -> None:
    assert ValueHead().predict([]) == []
    (first,) = ValueHead().predict([prefix()])
    assert first.mean == 0.5
    assert 2.0 < first.concentration < 20.0


def test_metrics_are_taken_before_learning(gardeners: Any) -> None:
    """The first step is predicted with one half, whatever comes."""
    metrics = ValueHead().learn(World(gardeners).forest(0))
    assert metrics["brier_root"] == pytest.approx(0.25)
    assert metrics["brier_prefix"] == pytest.approx(0.25)


def test_held_out_tasks_never_get_worse(gardeners: Any) -> None:
    world, head = World(gardeners), ValueHead(lr=0.3, passes=3)
    for step in range(4):
        metrics = head.learn(world.forest(step))
        assert metrics["held_out"] <= metrics["held_out_before"]


def test_what_does_not_count_teaches_nothing(gardener: Any) -> None:
    for stop in (StopReason.CENSORED, StopReason.INVALID, StopReason.CANCELLED):
        gardener.play(gardener.plant(), False, turns=2, stop=stop)
    head = ValueHead()
    assert head.learn(gardener.forest())["labels"] == 0.0
    assert head.predict([prefix()])[0].mean == 0.5
    assert head.learn(Forest(1, []))["labels"] == 0.0


def test_a_new_size_of_state_starts_afresh(gardeners: Any) -> None:
    head = ValueHead()
    head.learn(World(gardeners, hidden=8).forest(0))
    metrics = head.learn(World(gardeners, hidden=5).forest(1))
    alone = ValueHead().learn(World(gardeners, hidden=5).forest(1))
    assert metrics["labels"] == alone["labels"]
    assert head.predict([prefix(hidden=floats([1.0] * 8))])[0] == head.predict([prefix()])[0]


def test_state_is_json_and_resumes_exactly(gardeners: Any) -> None:
    straight, resumed = ValueHead(seed=3), ValueHead(seed=3)
    for step in range(2):
        straight.learn(World(gardeners, step).forest(step))
    resumed.load_state_dict(json.loads(json.dumps(straight.state_dict())))
    asked = [prefix(hidden=World(gardeners).state(x), depth=d) for x in (-1.0, 2.0) for d in (0, 2)]
    assert resumed.predict(asked) == straight.predict(asked)
    for step in range(2, 4):
        forest = World(gardeners, step).forest(step)
        assert resumed.learn(forest) == straight.learn(forest)
    assert resumed.predict(asked) == straight.predict(asked)
    assert resumed.state_dict() == straight.state_dict()


def test_an_untaught_head_is_saved_too() -> None:
    head = ValueHead()
    head.load_state_dict(ValueHead().state_dict())
    assert head.predict([prefix()])[0].mean == 0.5


def test_the_same_twice(gardeners: Any) -> None:
    heads = [ValueHead(seed=1), ValueHead(seed=1)]
    for head in heads:
        head.learn(World(gardeners).forest(0))
    assert heads[0].state_dict() == heads[1].state_dict()


@pytest.mark.parametrize(
    "options", [{"targets": "td"}, {"memory": 0}, {"batch": 0}, {"passes": 0}, {"width": 0}]
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ValueHead(**options)


@pytest.mark.parametrize("true", [1.0, 8.0, 60.0])
def test_concentration_is_found(true: float) -> None:
    """Chances drawn from Beta(cm, c(1-m)), eight rollouts each."""
    rng = np.random.default_rng(0)
    calibration = Calibration()
    for _ in range(512):
        mean = float(rng.uniform(0.1, 0.9))
        chance = rng.beta(true * mean, true * (1 - mean))
        calibration.add(mean, int(rng.binomial(8, chance)), 8)
    assert true / 1.7 < calibration.concentration() < true * 1.7


def test_concentration_falls_when_predictions_are_wrong() -> None:
    right, wrong = Calibration(), Calibration()
    for _ in range(50):
        right.add(0.5, 4, 8)
        wrong.add(0.9, 1, 8)
    assert wrong.concentration() < 2.0 < right.concentration()


def test_concentration_follows_what_is_added_and_what_is_taken_up() -> None:
    calibration, other = Calibration(), Calibration()
    untaught = calibration.concentration()
    for _ in range(50):
        calibration.add(0.9, 1, 8)
    assert calibration.concentration() < untaught
    assert other.concentration() == untaught
    other.load_state_dict(calibration.state_dict())
    assert other.concentration() == calibration.concentration()


def test_groups_of_one_say_nothing_and_memory_is_bounded() -> None:
    calibration = Calibration(memory=3)
    untaught = calibration.concentration()
    calibration.add(0.9, 0, 1)
    assert calibration.concentration() == untaught
    for i in range(5):
        calibration.add(0.5, i, 8)
    assert [wins for _, wins, _ in calibration.groups] == [2, 3, 4]


def test_features_by_hand() -> None:
    verdicts = (
        Verdict.of("a", True, evidence="", weight=3.0),
        Verdict.of("b", False, evidence="", score=0.5),
        replace(Verdict.of("c", False, evidence=""), status="skipped"),  # type: ignore[arg-type]
    )
    records = Records()
    for outcome in (1.0, 1.0, 0.0, 0.0):
        records.add("fake/other", outcome)
    for outcome in (1.0, 1.0):
        records.add("fake/x", outcome)
    (found,) = plain_features([Prefix("fake/x", "fake", 1, 4, verdicts=verdicts)], records)
    base = (4 + 1) / (6 + 2)
    rate = (2 + 2 * base) / 4
    lean = np.log(rate / (1 - rate)) - np.log(base / (1 - base))
    expected = [0, 0.25, np.log(2), np.log(4), 0.5, 3.5 / 4, 1, lean, np.log(3)]
    np.testing.assert_allclose(found[:9], expected, rtol=1e-6)
    assert found[9:].sum() == 1.0
    assert len(found) == PLAIN


def test_records_fade_and_forget() -> None:
    records = Records()
    records.add("fake/x", 1.0)
    for _ in range(60):
        records.fade()
    assert records.log_odds("fake/x") == (0.0, 0.0)
    assert records.base == pytest.approx(0.5, abs=0.01)


def test_bare_targets_leave_continuations_out(gardeners: Any) -> None:
    """Three roots and three continuations a task: of 4 turns each, bare rollouts label their 4 prefixes."""
    world = World(gardeners)
    forest = world.forest(0, tasks=10)
    bare, own = ValueHead(targets="bare"), ValueHead(targets="own")
    assert bare.learn(forest)["labels"] == 10 * 3 * DEPTH
    assert own.learn(forest)["labels"] > 10 * 3 * DEPTH
    with pytest.raises(ValueError, match="'own', 'bare' or 'backup'"):
        ValueHead(targets="all")  # type: ignore[arg-type]


def test_checks_may_be_left_out_of_the_features() -> None:
    passed = prefix(verdicts=(Verdict.of("a", True, evidence=""),))
    nothing = prefix(verdicts=())
    heard, unheard = plain_features([passed, nothing], Records())
    assert (heard != unheard).any()
    assert (plain_features([passed], Records(), verdicts=False) == unheard).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0"),
        ({"lr": -1e-3}, "lr must be positive, got -0.001"),
        ({"weight_decay": -0.1}, "weight_decay must not be negative, got -0.1"),
    ],
)
def test_what_it_could_not_learn_with_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        ValueHead(**options)
