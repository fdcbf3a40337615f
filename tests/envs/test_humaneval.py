"""The humaneval suite as an environment: tasks, examples, tools, programs and forks, on every sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trace_gym.core.action import Action
from trace_gym.core.check import Status, Verdict
from trace_gym.core.task import Split, Task
from trace_gym.environment.certify import Plan, certify
from trace_gym.environment.registry import suite
from trace_gym.environment.tasks import straddling
from trace_gym_envs.humaneval.problems import problems
from trace_gym_envs.humaneval.suite import HumanEval, Work

Act = Callable[..., tuple[str, dict[str, Verdict]]]


@pytest.fixture(scope="module", params=["bwrap", "docker"])
def env(request: pytest.FixtureRequest, require: Callable[..., None]) -> Iterator[HumanEval]:
    require(request.param)
    made = HumanEval(sandbox=request.param)
    yield made
    made.close()


def task(number: int) -> Task:
    return problems()[f"HumanEval/{number}"].task()


def begin(env: HumanEval, number: int) -> tuple[str, dict[str, Verdict]]:
    observation, info = env.reset(options={"task": task(number)})
    return observation, {v.name: v for v in info["verdicts"]}


def act(env: HumanEval, name: str, **arguments: Any) -> tuple[str, dict[str, Verdict]]:
    observation, *_, info = env.step(Action.call(name, **arguments))
    return observation, {v.name: v for v in info["verdicts"]}


def test_tasks_and_splits() -> None:
    train, test = HumanEval.tasks(Split.TRAIN), HumanEval.tasks(Split.TEST)
    assert (len(train), len(test)) == (123, 41)
    assert straddling(train, test) == ()
    assert {int(each.id) for each in (*train, *test)} == set(range(164))
    assert {task(56).family, task(61).family} == {"correct_bracketing"}


def test_what_stands_above_a_function_is_its_header() -> None:
    problem = problems()["HumanEval/32"]
    assert problem.header.startswith("import math\n")
    assert "def poly(" in problem.header
    assert "def find_zero(" not in problem.header
    assert problem.solution.startswith("def find_zero(xs: list):")


def test_the_prompt_is_shown_and_its_solution_is_not(env: HumanEval) -> None:
    observation, verdicts = begin(env, 0)
    assert problems()["HumanEval/0"].prompt.strip() in observation
    assert env.secrets(task(0))[0] not in observation
    assert {name: v.status for name, v in verdicts.items()} == dict.fromkeys(
        ("example_1", "example_2", "hidden"), Status.SKIPPED
    )


def test_an_episode(env: HumanEval) -> None:
    begin(env, 53)
    observation, verdicts = act(env, "write", code="def add(x, y):\n    return x * y - 1")
    assert observation.splitlines() == [
        "The solution is written.",
        "ok: add(2, 3) gave 5",
        "WRONG: add(5, 7) gave 34, expected 12",
    ]
    assert (verdicts["example_1"].status, verdicts["example_2"].status) == (Status.PASS, Status.FAIL)
    assert act(env, "run", code="add(4, 4)")[0] == "15"
    act(env, "write", code="def add(x: int, y: int):\n    return x + y")
    assert act(env, "run", code="print(add('a', 'b'))\nadd(1, 2)")[0] == "ab\n3"
    observation, reward, terminated, _, info = env.step(Action.call("submit"))
    assert (reward, terminated, info["success"]) == (1.0, True, True)
    assert info["verdicts"][-1].evidence == "the hidden check holds in all 105 calls"
    assert env.oracle() is None


def test_a_wrong_solution_fails_with_the_call_that_shows_it(env: HumanEval) -> None:
    begin(env, 53)
    act(env, "write", code="def add(x, y):\n    return 5 if x < 5 else 12")
    _, verdicts = act(env, "submit")
    assert verdicts["hidden"].status is Status.FAIL
    assert verdicts["hidden"].evidence == (
        "the hidden check fails at call 1 of 105, which gave 5 (AssertionError)"
    )


def test_helpers_of_the_prompt_are_at_hand(env: HumanEval) -> None:
    begin(env, 38)
    act(env, "write", code="def decode_cyclic(s):\n    return encode_cyclic(encode_cyclic(s))")
    assert act(env, "run", code="decode_cyclic(encode_cyclic('abcdefgh'))")[0] == "'abcdefgh'"
    assert act(env, "submit")[1]["hidden"].status is Status.PASS


def test_nothing_is_submitted_before_it_is_written(env: HumanEval) -> None:
    begin(env, 0)
    observation, verdicts = act(env, "submit")
    assert observation == "There is no solution yet: write it first."
    assert verdicts["hidden"].status is Status.SKIPPED


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("1 / 0", 'Traceback (most recent call last):\n  File "main.py", line 1, in <module>\n    1 / 0\n'),
        ("x = (", '  File "main.py", line 1\n    x = (\n'),
        ("import sys; sys.exit(7)", "[exit code 7]"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGABRT)", "[ended by signal 6]"),
        ("x = 1", "[no output]"),
        ("object()", "<object object at 0x…>"),
        ("import tempfile; tempfile.mkdtemp()", "'/tmp/tmp…'"),
        ("import random; random.random()", "0.8444218515250481"),
        ("print('a' * 5000)", "a" * 1500 + "\n[… 3000 characters left out …]\n" + "a" * 500),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\x00'); None", "\ufffd\x00"),
    ],
)
def test_what_a_program_does_is_shown_and_stays_the_same(env: HumanEval, code: str, shown: str) -> None:
    begin(env, 0)
    first, _ = act(env, "run", code=code)
    again, _ = act(env, "run", code=code)
    assert first == again
    assert first.startswith(shown)


def test_endless_programs_are_stopped(env: HumanEval) -> None:
    begin(env, 0)
    observation, _ = act(env, "run", code="print('x' * 9000)\nwhile True: pass")
    assert observation == f"{'x' * 500}…\n[stopped after 5 s]"


def test_programs_that_take_too_much_memory_are_stopped(env: HumanEval) -> None:
    begin(env, 0)
    observation, _ = act(
        env, "run", code="print('begun', flush=True)\nx = [bytes(1 << 22) for _ in range(10**6)]"
    )
    begun, how = observation.splitlines()
    assert begun == "begun"
    assert how in ("[stopped: it used more than 512 MB]", "[ended by signal 9]", "[stopped after 5 s]")
    assert act(env, "run", code="1 + 1")[0] == "2"


def test_programs_in_one_action_are_counted(env: HumanEval) -> None:
    begin(env, 0)
    observation = env.step(Action(calls=Action.call("run", code="1").calls * 10))[0]
    assert observation.splitlines() == ["1"] * 8 + ["At most 8 programs run in one action."] * 2
    assert act(env, "run", code="2")[0] == "2"


def test_a_planted_file_does_not_reach_the_examples(env: HumanEval) -> None:
    begin(env, 53)
    planted = "import os\nfor name in ('json', 'random', 'sitecustomize', 'solution'):\n"
    planted += "    open(name + '.py', 'w').write('raise SystemExit(0)')\n"
    act(env, "run", code=planted)
    observation, _ = act(env, "write", code="import json\ndef add(x, y): return json.loads('5')")
    assert observation.splitlines()[1] == "ok: add(2, 3) gave 5"


def test_files_are_forked(env: HumanEval) -> None:
    begin(env, 0)
    act(env, "run", code="open('note', 'w').write('first')")
    snapshot = env.snapshot()
    act(env, "run", code="open('note', 'w').write('second')")
    env.restore(snapshot)
    assert act(env, "run", code="print(open('note').read())")[0] == "first"
    snapshot.close()


def test_the_oracle_repairs_what_was_written(env: HumanEval) -> None:
    begin(env, 2)
    assert env.state == Work()
    act(env, "write", code="nonsense")
    for wanted in ("write", "submit"):
        action = env.oracle()
        assert action is not None
        assert action.calls[0].name == wanted
        _, reward, *_ = env.step(action)
    assert reward == 1.0


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["bwrap", "docker"])
def test_it_is_certified(kind: str, require: Callable[..., None]) -> None:
    require(kind)
    plan = Plan(tasks=4, episodes=30, forks=8, fuzz=100)
    report = certify(suite(f"humaneval?sandbox={kind}"), plan)
    assert report.passed, report.rows()
