"""The compact rendering of reasoning: a closed vocabulary, chains that can be repaired, unseen sequences."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from trace_gym.core.action import Action
from trace_gym.core.check import Status
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.certify import Plan, certify
from trace_gym.environment.registry import suite
from trace_gym.environment.spaces import ActionSpace
from trace_gym.environment.tasks import straddling
from trace_gym_envs.reasoning.compact import COMPACT_VOCABULARY, SIZE, ReasoningCompact

TASKS = ReasoningCompact.tasks(Split.TEST)
BY_HAND = Task(
    "by hand",
    "reasoning_compact",
    Split.TRAIN,
    "minus-times-plus",
    payload={
        "lines": [
            ["b", "times", 4, "c"],
            ["a", "minus", 5, "b"],
            ["c", "plus", 2, "d"],
            ["a", "plus", 3, "e"],
        ],
        "given": 3,
        "asked": "d",
        "place": 1,
    },
    limits=Limits(max_turns=10),
)
RIGHT = (("minus", 5, "b", 9), ("times", 4, "c", 3), ("plus", 2, "d", 5))


def opened(task: Task) -> tuple[ReasoningCompact, str]:
    env = ReasoningCompact()
    return env, env.reset(options={"task": task})[0]


def noted(env: ReasoningCompact, operation: str, number: int, name: str, value: int) -> str:
    observation: str = env.step(Action.call(operation, number=number, name=name, value=value))[0]
    return observation


def test_a_sheet_worked_out_by_hand() -> None:
    """a = 3, b = 3 - 5 = -2 = 9, c = 9 * 4 = 36 = 3, d = 3 + 2 = 5, all of 11."""
    env, observation = opened(BY_HAND)
    assert observation == "b times 4 c ; d answer ; a minus 5 b ; c plus 2 d ; a plus 3 e ; 3 a"
    assert env.sheet.values == {"a": 3, "b": 9, "c": 3, "d": 5}
    assert [noted(env, *line) for line in RIGHT] == ["9 b", "3 c", "5 d"]
    observation, reward, terminated, _, info = env.step(Action.call("answer"))
    assert (observation, reward, terminated, info["success"]) == ("answered", 1.0, True, True)


def test_what_is_wrong_is_not_told_and_can_be_repaired() -> None:
    env, _ = opened(BY_HAND)
    assert noted(env, "minus", 5, "b", 8) == "8 b"
    assert noted(env, "plus", 3, "e", 6) == "6 e"
    assert env.step(Action.call("answer"))[0] == "none"
    for operation, number, name, value in RIGHT:
        assert env.oracle() == Action.call(operation, number=number, name=name, value=value)
        env.step(env.oracle())
    assert env.oracle() == Action.call("answer")


@pytest.mark.parametrize(
    "line", [("plus", 5, "b", 9), ("minus", 4, "b", 9), ("minus", 5, "z", 9), ("plus", 2, "d", 5)]
)
def test_what_no_line_says_yet_is_not_noted(line: tuple[str, int, str, int]) -> None:
    """Another operation, number or name; or a base without a value."""
    env, _ = opened(BY_HAND)
    assert noted(env, *line) == "none"
    assert env.state.values == {"a": 3}


def test_a_wrong_answer_fails_with_its_evidence() -> None:
    env, _ = opened(BY_HAND)
    for operation, number, name, value in RIGHT:
        noted(env, operation, number, name, value + (name != "b"))
    *_, info = env.step(Action.call("answer"))
    found = {v.name: (v.status, v.evidence) for v in info["verdicts"]}
    assert found["step_0"] == (Status.PASS, "b is 9, noted 9")
    assert found["step_1"] == (Status.FAIL, "c is 3, noted 4")
    assert found["answer"] == (Status.FAIL, "answered 6, the answer is 5")


def test_the_vocabulary_has_every_word_once() -> None:
    assert len(set(COMPACT_VOCABULARY)) == len(COMPACT_VOCABULARY)
    assert all(word.split() == [word] for word in COMPACT_VOCABULARY)


def test_whatever_the_tools_say_is_in_the_vocabulary() -> None:
    words, rng = set(COMPACT_VOCABULARY), np.random.default_rng(0)
    for task in TASKS[:40]:
        env, observation = opened(task)
        done = False
        while not done:
            assert set(observation.split()) <= words
            space = ActionSpace(env.available(), messages=0.0, several=0.0, seed=rng)
            action = env.oracle() if rng.random() < 0.2 else space.sample()
            assert {str(v) for call in action.calls for v in call.arguments.values()} <= words
            observation, _, terminated, truncated, _ = env.step(action)
            done = terminated or truncated


def test_values_are_evenly_spread() -> None:
    counts: Counter[int] = Counter()
    for task in TASKS[:4400]:
        env, _ = opened(task)
        counts[env.sheet.values[env.sheet.asked]] += 1
    assert len(counts) == SIZE
    assert max(counts.values()) < 500  # 400 expected, and 5 standard deviations more


def test_splits_hold_sequences_out_at_every_length() -> None:
    train = ReasoningCompact.tasks(Split.TRAIN)
    assert (len(train), len(TASKS)) == (100_000, 80_000)
    assert straddling(train[:2000], TASKS[:2000]) == ()
    assert {task.subset for task in train[:10]} == {f"{n}-step" for n in range(1, 6)}
    assert {task.subset for task in TASKS[:10]} == {f"{n}-step" for n in range(2, 6)}
    assert len({task.family for task in (*train[:4000], *TASKS[:4000])}) == 3 + 9 + 27 + 81 + 243
    assert {task.subset for task in ReasoningCompact.tasks(Split.TRAIN, longest=2)[:10]} == {
        "1-step",
        "2-step",
    }
    with pytest.raises(ValueError, match="between 2 and 5, got 6"):
        ReasoningCompact.tasks(Split.TRAIN, longest=6)


def test_it_is_certified() -> None:
    report = certify(suite("reasoning_compact"), Plan(fuzz=500, forks=40, scan=1000))
    assert report.passed, report.rows()
