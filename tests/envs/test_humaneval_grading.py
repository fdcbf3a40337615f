"""Grading of humaneval: reference solutions pass, forgeries do not, whatever they try; data and encoding."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.envs.humaneval_files.forgeries import forged, graded
from tests.envs.humaneval_files.programs import FORGERIES
from trace_gym.core.sandbox import SandboxProvider
from trace_gym.environment.sandbox import provider as provider_of
from trace_gym_envs.humaneval.candidate import decode, encode
from trace_gym_envs.humaneval.examples import examples_of
from trace_gym_envs.humaneval.grader import answers
from trace_gym_envs.humaneval.judge import judge, note
from trace_gym_envs.humaneval.problems import problems
from trace_gym_envs.humaneval.suite import SPEC

SAMPLE = ("HumanEval/33", "HumanEval/38", "HumanEval/53")


@pytest.fixture(scope="module", params=["bwrap", "docker"])
def boxes(request: pytest.FixtureRequest, require: Callable[..., None]) -> SandboxProvider:
    require(request.param)
    return provider_of(request.param)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forgeries_fail(boxes: SandboxProvider, forgery: str) -> None:
    """On a few problems; `python -m tests.envs.humaneval_files.forgeries` tries them on all."""
    assert [identifier for identifier in SAMPLE if forged(boxes, identifier, forgery).passed] == []


@pytest.mark.parametrize("identifier", SAMPLE)
def test_solutions_pass(boxes: SandboxProvider, identifier: str) -> None:
    assert graded(boxes, identifier, problems()[identifier].solution).passed


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.needs("bwrap")
def test_every_solution_passes() -> None:
    boxes = provider_of("bwrap")
    found = {name: graded(boxes, name, problem.solution) for name, problem in problems().items()}
    assert {name: decision for name, decision in found.items() if not decision.passed} == {}


@pytest.mark.parametrize("constant", [None, True, False, 0, 1, -1, 0.0, "", "Yes", [], (), {}, [0]])
def test_no_problem_is_passed_by_a_constant(constant: object) -> None:
    """Every check asks for two different results, as its own reference gives them."""
    for problem in problems().values():
        scope: dict[str, Any] = {}
        exec(problem.prompt + problem.reference + problem.test, scope)
        with pytest.raises((AssertionError, TypeError, OverflowError)):
            scope["check"](lambda *arguments: constant)


def test_no_check_expects_an_exception() -> None:
    """So that a call without a value may fail a solution at once."""
    for problem in problems().values():
        scope: dict[str, Any] = {}
        exec(problem.prompt + problem.reference + problem.test, scope)

        def raising(*arguments: Any) -> Any:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            scope["check"](raising)


def test_what_a_check_calls_is_noted_and_steady() -> None:
    problem = problems()["HumanEval/50"]
    noted = note(problem.secret, problem.seed)["calls"]
    assert len(noted) == 100
    assert noted == note(problem.secret, problem.seed)["calls"]
    assert noted != note(problem.secret, problem.seed + 1)["calls"]


def test_examples_are_true() -> None:
    """All 389 examples hold for the reference solutions; 138 problems show some."""
    counts: list[int] = []
    for problem in problems().values():
        scope: dict[str, Any] = {}
        exec(problem.header + problem.solution, scope)
        for example in problem.examples:
            arguments = decode(encode(list(example.arguments)))
            assert scope[problem.name](*arguments) == example.result, example.told(problem.name)
        counts.append(len(problem.examples))
    assert (sum(counts), sum(map(bool, counts))) == (389, 138)


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        (">>> f(1)\n    2", [((1,), 2)]),
        (">>> f(1) == 2", [((1,), 2)]),
        ("f('a)', [1, (2,)]) ➞ {'b': 3.5}", [(("a)", [1, (2,)]), {"b": 3.5})]),
        ("f(1) should return 2.", [((1,), 2)]),
        ("f(1) => true", [((1,), True)]),
        ('f(15)   # returns "db1111db"', [((15,), "db1111db")]),
        ("f(1) = 2 (since it grows)", [((1,), 2)]),
        ("f(1) ->19 - 5 = 14", []),
        ("f(n) == f(n - 1)", []),
        (">>> round(f(1), 2)\n    0.5", []),
        (">>> f([])\n\n    >>> f([1])\n    1", [(([1],), 1)]),
        ("f(1) == 2 and f(2) == 3", [((2,), 3)]),
    ],
)
def test_examples_are_read_in_many_spellings(shown: str, found: list[tuple[Any, Any]]) -> None:
    prompt = f'def f(x):\n    """ Text.\n    {shown}\n    """\n'
    assert [(e.arguments, e.result) for e in examples_of("HumanEval/x", "f", prompt)] == found


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -7,
        10**400,
        0.1,
        -0.0,
        float("inf"),
        "",
        "é\ud800\x00",
        [],
        (),
        {},
        set(),
        [(1,), {2: {3}}],
    ],
)
def test_values_keep_their_type(value: object) -> None:
    back = decode(json.loads(json.dumps(encode(value))))
    assert (repr(back), type(back)) == (repr(value), type(value))


def test_the_dictionaries_of_the_library_pass_as_dictionaries() -> None:
    for value in (Counter("aab"), OrderedDict(a=2, b=1), defaultdict(int, a=2, b=1)):
        assert decode(encode(value)) == {"a": 2, "b": 1}


class _Int(int):
    pass


@pytest.mark.parametrize(
    "value", [_Int(1), object(), range(3), b"x", 1j, frozenset(), int, [_Int(1)], iter(())]
)
def test_nothing_else_passes(value: object) -> None:
    with pytest.raises(ValueError, match="no plain built-in value"):
        encode(value)


def test_deep_values_are_refused() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    for border in (encode, decode):
        with pytest.raises(ValueError, match="too deeply"):
            border(deep)


@pytest.mark.parametrize(
    "data", [{"set": [[]]}, {"dict": [[1]]}, {"dict": [[{"dict": []}, 1]]}, {"int": [1]}, {"tuple": 1}, {}]
)
def test_malformed_data_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match=r"not (the parts|an encoded)"):
        decode(data)


def test_what_a_call_came_to_is_told(boxes: SandboxProvider) -> None:
    code = """
import time
def add(x, y):
    print("noise")
    if x == 1: raise KeyError(object())
    if x == 2: return {1: (None, "é")}
    if x == 3: return "x" * 100_000
    if x == 4: return 10**5000
    time.sleep(60)
"""
    calls = [encode([x, 0]) for x in (1, 2, 3, 4, 5, 6)]
    with closing(boxes.open(SPEC)) as box:
        given = answers(box, problems()["HumanEval/53"], code, calls, timeout_s=3.0)
    assert [answer.told for answer in given] == [
        "raised KeyError: <object object at 0x…>",
        "gave {1: (None, 'é')}",
        "gave more than 65536 bytes",
        "raised ValueError: Exceeds the limit (4300 digits) for integer string conversion; "
        "use sys.set_int_max_str_digits() to increase the limit",
        "gave no answer: the program was stopped after 3 s",
        "gave no answer: the program was stopped after 3 s",
    ]


def test_answers_that_lead_the_check_elsewhere_are_wrong_and_not_the_judges_failure() -> None:
    problem = {
        "name": "f",
        "prompt": "def f(x):\n",
        "solution": "    return x + 1\n",
        "test": "def check(f):\n    f(f(1))\n",
    }
    calls = note(problem, 0)["calls"]
    right, wrong = [encode(2), encode(3)], [encode(5), encode(6)]
    assert judge(problem, 0, calls=calls, values=right) == {"passed": True, "reached": 2, "why": ""}
    strayed = judge(problem, 0, calls=calls, values=wrong)
    assert (strayed["passed"], strayed["reached"]) == (False, 2)
    assert "not the one that was noted" in strayed["why"]
