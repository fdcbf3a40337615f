"""The compact rendering of reasoning: a closed vocabulary, chains that can be repaired, unseen sequences."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from trace_gym.core.action import Action
from trace_gym.core.check import Status
from trace_gym.core.errors import BadConfig
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.certify import Plan, certify
from trace_gym.environment.registry import suite
from trace_gym.environment.spaces import ActionSpace
from trace_gym.environment.tasks import straddling
from trace_gym_agents.line import spell_line
from trace_gym_envs.reasoning.compact import COMPACT_VOCABULARY, NAMES, SIZE, ReasoningCompact

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
    observation: str = env.step(Action.call(operation, number=number, value=value, name=name))[0]
    return observation


def examples(env: ReasoningCompact) -> dict[str, tuple[list[int] | None, list[str]]]:
    """The numbers and names that each operation shows."""
    shown = {spec.name: spec.parameters.get("properties", {}) for spec in env.available()}
    return {
        name: (properties["number"].get("examples"), properties["name"]["examples"])
        for name, properties in shown.items()
        if properties
    }


def test_a_sheet_worked_out_by_hand() -> None:
    """a = 3, b = 3 - 5 = -2 = 9, c = 9 * 4 = 36 = 3, d = 3 + 2 = 5, all of 11."""
    env, observation = opened(BY_HAND)
    assert observation == "b times 4 c ; d answer ; a minus 5 b ; c plus 2 d ; a plus 3 e ; a 3"
    assert env.sheet.values == {"a": 3, "b": 9, "c": 3, "d": 5}
    assert [noted(env, *line) for line in RIGHT] == ["b 9", "c 3", "d 5"]
    observation, reward, terminated, _, info = env.step(Action.call("answer"))
    assert (observation, reward, terminated, info["success"]) == ("answered", 1.0, True, True)


def test_what_is_wrong_is_not_told_and_can_be_repaired() -> None:
    env, _ = opened(BY_HAND)
    assert noted(env, "minus", 5, "b", 8) == "b 8"
    assert noted(env, "plus", 3, "e", 6) == "e 6"
    assert env.step(Action.call("answer"))[0] == "none e 6"
    for operation, number, name, value in RIGHT:
        assert env.oracle() == Action.call(operation, number=number, value=value, name=name)
        env.step(env.oracle())
    assert env.oracle() == Action.call("answer")


@pytest.mark.parametrize(
    "line", [("plus", 5, "b", 9), ("minus", 4, "b", 9), ("minus", 5, "z", 9), ("plus", 2, "d", 5)]
)
def test_what_no_line_says_yet_is_not_noted(line: tuple[str, int, str, int]) -> None:
    """Another operation, number or name; or a base without a value."""
    env, _ = opened(BY_HAND)
    assert noted(env, *line) == "none a 3"
    assert env.state.values == {"a": 3}


def test_a_turn_ends_with_what_was_noted_last() -> None:
    """Whatever was refused meanwhile; a name that is noted again is the last."""
    env, _ = opened(BY_HAND)
    assert noted(env, *RIGHT[0]) == "b 9"
    assert noted(env, "times", 5, "c", 3) == "none b 9"
    assert noted(env, *RIGHT[1]) == "c 3"
    assert noted(env, "minus", 5, "b", 4) == "b 4"
    assert env.step(Action.call("answer"))[0] == "none b 4"


def test_a_line_is_repeated_with_what_comes_out_before_its_name() -> None:
    """So a policy that goes on from `b 9` has said `b 9 times 4` when it says 3."""
    env, _ = opened(BY_HAND)
    noted(env, *RIGHT[0])
    (call,) = env.oracle().calls
    tools = {spec.name: spec for spec in env.available()}
    assert spell_line(call, tools[call.name]) == "times 4 3 c"


def test_tools_show_the_lines_of_the_sheet() -> None:
    """A tool whose operation is in no line stays as it is."""
    env, _ = opened(BY_HAND)
    assert examples(env) == {"plus": ([2, 3], ["d", "e"]), "minus": ([5], ["b"]), "times": ([4], ["c"])}
    lines = [line for line in BY_HAND.payload["lines"] if line[1] != "minus"]
    env, _ = opened(replace(BY_HAND, payload={**BY_HAND.payload, "lines": lines}))
    assert examples(env)["minus"] == (None, list(NAMES))


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
    with pytest.raises(BadConfig, match="between 2 and 5, got 6"):
        ReasoningCompact.tasks(Split.TRAIN, longest=6)


@pytest.mark.parametrize("spare", [0, 1, 2])
def test_so_many_lines_lead_nowhere(spare: int) -> None:
    tasks = ReasoningCompact.tasks(Split.TRAIN, spare=spare)
    for task in tasks[:100]:
        env, _ = opened(task)
        assert len(env.sheet.lines) == len(env.sheet.chain) + spare
        assert [line.operation for line in env.sheet.chain] == task.family.split("-")


def test_sheets_with_fewer_spare_lines_are_tasks_of_their_own() -> None:
    ids = [{task.id for task in ReasoningCompact.tasks(Split.TEST, spare=n)[:500]} for n in range(3)]
    assert len(set.union(*ids)) == 1500
    assert straddling(ReasoningCompact.tasks(Split.TRAIN, spare=0)[:2000], TASKS[:2000]) == ()
    with pytest.raises(BadConfig, match="spare must lie between 0 and 2, got 3"):
        ReasoningCompact.tasks(Split.TRAIN, spare=3)


def test_it_is_certified() -> None:
    report = certify(suite("reasoning_compact"), Plan(fuzz=500, forks=40, scan=1000))
    assert report.passed, report.rows()
