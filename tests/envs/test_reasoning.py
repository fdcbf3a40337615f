"""The reasoning suite: generators and their verifiers, splits, tools, with and without a sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from reasoning_gym.factory import DATASETS

from trace_gym.core.action import Action
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import BadConfig, EnvironmentFailed, UnknownName
from trace_gym.core.task import Split, Task
from trace_gym.environment.certify import Plan, certify
from trace_gym.environment.registry import suite
from trace_gym.environment.tasks import straddling
from trace_gym_envs.reasoning.asked import asked, digest, moved
from trace_gym_envs.reasoning.generate import detours, questions, training
from trace_gym_envs.reasoning.generators import EXCLUDED, ITEMS, RIGHT, generators, source
from trace_gym_envs.reasoning.splits import held_out, stories
from trace_gym_envs.reasoning.suite import Reasoning

JUNK = (
    "x",
    "I do not know.",
    "nan",
    "inf",
    "None",
    "<answer></answer>",
    "\x00",
    "é漢🙂",
    "9**9**9**9",
    "1e999999999",
    "R99999999",
    "{{",
    "[[[]]]",
    '{"a": 1}',
    "9" * 9999,
    "[" * 9999,
    "(" * 9999,
    "-" * 9999,
    "1 " * 4999,
    "1," * 4999,
    "a\n" * 4999,
)


@pytest.fixture(scope="module")
def env() -> Iterator[Reasoning]:
    made = Reasoning(tool="none")
    yield made
    made.close()


@pytest.fixture(scope="module", params=["bwrap", "docker"])
def boxed(request: pytest.FixtureRequest, require: Callable[..., None]) -> Iterator[Reasoning]:
    require(request.param)
    made = Reasoning(sandbox=request.param)
    yield made
    made.close()


def begin(env: Reasoning, task: Task) -> tuple[str, dict[str, Verdict]]:
    observation, info = env.reset(options={"task": task})
    return observation, {v.name: v for v in info["verdicts"]}


def act(env: Reasoning, name: str, **arguments: Any) -> tuple[str, dict[str, Verdict]]:
    observation, *_, info = env.step(Action.call(name, **arguments))
    return observation, {v.name: v for v in info["verdicts"]}


def test_every_generator_is_played_or_has_a_reason_not_to_be() -> None:
    assert set(EXCLUDED) <= set(DATASETS)
    assert (len(DATASETS), len(EXCLUDED), len(generators())) == (106, 21, 85)


def test_splits() -> None:
    train, test = Reasoning.tasks(Split.TRAIN), Reasoning.tasks(Split.TEST)
    assert Counter(task.subset for task in test) == {"in_family": 650, "out_of_family": 210}
    assert {train[i].subset for i in range(200)} == {"in_family"}
    part = [train[i] for i in range(0, len(train), 97)]
    assert straddling(part, test) == ()
    trained = {task.payload["generator"] for task in part}
    outside = {task.payload["generator"] for task in test if task.subset == "out_of_family"}
    assert trained & outside == {"gsm_symbolic"}
    assert trained | outside == set(generators())
    assert all(held_out(name) for name in outside - {"gsm_symbolic"})


def test_stories_are_held_out_too() -> None:
    def told(task: Task) -> int:
        page, at = divmod(task.payload["place"], ITEMS)
        return stories(0, page)[at]

    train = Reasoning.tasks(Split.TRAIN, subset="gsm_symbolic")
    test = Reasoning.tasks(Split.TEST, subset="gsm_symbolic")
    outside = {told(task) for task in test if task.subset == "out_of_family"}
    inside = {told(task) for task in test if task.subset == "in_family"}
    trained = {told(train[i]) for i in range(len(train))}
    assert (len(outside), len(trained)) == (18, 67)
    assert trained & outside == set()
    assert inside <= trained
    assert {t.family for t in test if t.subset == "out_of_family"} == {
        f"gsm_symbolic/story {n}" for n in outside
    }


def question(task: Task) -> str:
    given = task.payload
    item = source(given["generator"], given["stream"]).item(given["place"])
    return " ".join(item.question.lower().split())


FEW_QUESTIONS = ("chain_sum", "gsm_symbolic", "prime_factorization", "string_splitting", "string_synthesis")


@pytest.mark.parametrize("generator", FEW_QUESTIONS)
@pytest.mark.parametrize("seed", [0, 3])
def test_no_question_of_the_test_split_is_trained_on(generator: str, seed: int) -> None:
    tested = {question(task) for task in Reasoning.tasks(Split.TEST, subset=generator)}
    train = Reasoning.tasks(Split.TRAIN, subset=generator, seed=seed)[:: 1 if seed == 0 else 9]
    assert tested.isdisjoint(question(task) for task in train)
    assert len({task.id for task in train}) == len(train)


def test_training_lost_no_task_and_testing_none_of_its_own() -> None:
    """What numbers were published on is as it was."""
    assert len(Reasoning.tasks(Split.TRAIN)) == 465_140
    listed = [[t.id, t.family, t.seed, t.subset, dict(t.payload)] for t in Reasoning.tasks(Split.TEST)]
    text = json.dumps(listed, sort_keys=True)
    assert blake2b(text.encode(), digest_size=8).hexdigest() == "ecb269a3630bd514"


def test_a_place_that_holds_no_item_is_not_trained_on() -> None:
    with pytest.raises(EnvironmentFailed, match="item 5843 of stream 0 cannot be made"):
        source("maze", 0).item(5843)
    places = [task.payload["place"] for task in Reasoning.tasks(Split.TRAIN, subset="maze")]
    assert (5843 in places, 15843 in places) == (False, True)


@pytest.mark.parametrize("generator", sorted({*FEW_QUESTIONS, "graph_color", "sentence_reordering", "ab"}))
def test_the_file_of_questions_is_what_its_command_writes(generator: str) -> None:
    known = questions(generator)
    assert set(known) == asked(generator)
    row = training(generator)
    assert row is not None
    sample = [*row.places[::97], *list(moved(generator))[::41]]
    assert detours(generator, sample, known) == {
        place: moved(generator)[place] for place in sample if place in moved(generator)
    }


def test_every_generator_that_is_trained_on_has_its_questions_on_file() -> None:
    trained = {name for name in generators() if training(name) is not None}
    assert len(trained) == 65
    for name in trained:
        tested = Reasoning.tasks(Split.TEST, subset=name)
        assert digest(question(tested[0])) in asked(name), name


def test_subsets_are_generators_categories_and_kinds() -> None:
    count = {
        name: len(Reasoning.tasks(Split.TEST, subset=name)) for name in ("chain_sum", "dice", "out_of_family")
    }
    assert count == {"chain_sum": 100, "dice": 100, "out_of_family": 210}
    games = Reasoning.tasks(Split.TRAIN, subset="games")
    assert {games[i].payload["generator"] for i in range(40)} < {"futoshiki", "maze", "sudoku"} | set(
        generators()
    )
    with pytest.raises(UnknownName, match="did you mean 'chain_sum'"):
        Reasoning.tasks(Split.TRAIN, subset="chain_sums")
    with pytest.raises(UnknownName):
        Reasoning.tasks(Split.TRAIN, subset="dice")  # held out


def test_seeds_make_other_tasks_for_training_only() -> None:
    here, there = (Reasoning.tasks(Split.TRAIN, subset="chain_sum", seed=seed) for seed in (0, 1))
    assert {here[i].id for i in range(100)}.isdisjoint(there[i].id for i in range(100))
    assert list(Reasoning.tasks(Split.TEST, seed=1)) == list(Reasoning.tasks(Split.TEST))
    item = source("chain_sum", 1).item(1000)
    assert item.question != source("chain_sum", 0).item(1000).question
    with pytest.raises(BadConfig, match="negative"):
        Reasoning.tasks(Split.TRAIN, seed=-1)


def test_a_sandbox_that_would_go_unused_is_refused() -> None:
    with pytest.raises(BadConfig, match="tool 'none' has no sandbox, so sandbox 'docker' goes unused"):
        suite("reasoning?tool=none&sandbox=docker").make()


@pytest.mark.parametrize("generator", generators())
def test_reference_answers_are_right_and_junk_is_not(generator: str) -> None:
    """Neither does junk keep a verifier busy: the whole test has the time of one."""
    made = source(generator, 0)
    for place in (0, 1, 2, 1000, 9999):
        item = made.item(place)
        assert item.question.strip()
        assert made.score(item, item.answer) >= RIGHT
        assert made.score(item, " \n") == 0.0
        if place < 2:
            assert [text[:20] for text in JUNK if made.score(item, text) >= RIGHT] == []


def test_answers_are_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "run"
    for generator in generators():
        made = source(generator, 0)
        item = made.item(0)
        for text in (f"__import__('pathlib').Path({str(mark)!r}).touch()", f"[open({str(mark)!r}, 'w')]"):
            assert made.score(item, text) < RIGHT
    assert not mark.exists()


_PRINT_DIGEST = """
import json, sys
from hashlib import blake2b
from trace_gym_envs.reasoning.generators import generators, source
found = {}
for name in generators():
    items = [source(name, 0).item(place) for place in (7, 3, 1234)]
    text = json.dumps([[item.question, item.answer] for item in items])
    found[name] = blake2b(text.encode(), digest_size=8).hexdigest()
json.dump(found, sys.stdout)
"""


def test_items_are_the_same_in_every_process_and_order() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _PRINT_DIGEST],
        env={"PYTHONHASHSEED": "4242", "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    there = json.loads(run.stdout)
    for name in generators():
        items = {place: source(name, 0).item(place) for place in (1234, 7, 3, 7)}
        text = json.dumps([[items[place].question, items[place].answer] for place in (7, 3, 1234)])
        assert there[name] == blake2b(text.encode(), digest_size=8).hexdigest(), name


def test_without_a_tool(env: Reasoning) -> None:
    task = Reasoning.tasks(Split.TRAIN, subset="chain_sum")[0]
    observation, verdicts = begin(env, task)
    assert observation.startswith("State the final answer to the following arithmetic problem: ")
    assert [spec.name for spec in env.available()] == ["answer"]
    assert (verdicts["ran"].status, verdicts["right"].status) == (Status.SKIPPED, Status.SKIPPED)
    assert "There is no tool 'python'" in act(env, "python", code="1")[0]
    snapshot = env.snapshot()
    assert snapshot.strategy == "copy"
    wrong = act(env, "answer", text="no idea")[1]["right"]
    assert (wrong.status, wrong.score) == (Status.FAIL, 0.0)
    env.restore(snapshot)
    expression = observation.partition(": ")[2].partition(" =")[0]
    _, reward, terminated, _, info = env.step(Action.call("answer", text=str(eval(expression))))
    assert (reward, terminated, info["success"]) == (1.0, True, True)


def test_partial_marks_are_no_success(env: Reasoning) -> None:
    task = Reasoning.tasks(Split.TRAIN, subset="gsm_symbolic")[0]
    begin(env, task)
    verdict = act(env, "answer", text="-123456")[1]["right"]
    assert (verdict.status, verdict.score) == (Status.FAIL, 0.01)


def test_with_python(boxed: Reasoning) -> None:
    task = Reasoning.tasks(Split.TRAIN, subset="chain_sum")[1]
    observation, _ = begin(boxed, task)
    expression = observation.partition(": ")[2].partition(" =")[0]
    shown, verdicts = act(boxed, "python", code=f"x = {expression}\nopen('x', 'w').write(str(x))\nx / 0")
    assert shown.endswith("ZeroDivisionError: division by zero")
    assert verdicts["ran"].status is Status.FAIL
    snapshot = boxed.snapshot()
    assert snapshot.strategy == "sandbox"
    act(boxed, "python", code="import os; os.remove('x')")
    boxed.restore(snapshot)
    snapshot.close()
    shown, verdicts = act(boxed, "python", code="print(open('x').read())")
    assert verdicts["ran"].evidence == f"script 2: {shown}"
    assert act(boxed, "answer", text=shown)[1]["right"].status is Status.PASS


def test_programs_in_one_action_are_counted(boxed: Reasoning) -> None:
    begin(boxed, Reasoning.tasks(Split.TRAIN)[0])
    observation = boxed.step(Action(calls=Action.call("python", code="1").calls * 9))[0]
    assert observation.splitlines() == ["1"] * 8 + ["At most 8 programs run in one action."]


def test_it_is_certified_without_a_tool() -> None:
    report = certify(suite("reasoning?tool=none"), Plan(fuzz=300, forks=30, scan=1000))
    assert report.passed, report.rows()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["bwrap", "docker"])
def test_it_is_certified(kind: str, require: Callable[..., None]) -> None:
    require(kind)
    plan = Plan(tasks=6, episodes=50, forks=10, fuzz=100, scan=1000)
    report = certify(suite(f"reasoning?sandbox={kind}"), plan)
    assert report.passed, report.rows()
