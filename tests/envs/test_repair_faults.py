"""Faults: every operator against a table worked by hand, the bundled packages, and the index of mutants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from trace_gym.core.errors import MalformedData
from trace_gym.core.sandbox import Sandbox
from trace_gym.core.task import Split
from trace_gym.environment import sandbox
from trace_gym_envs.repair import faults, workspace
from trace_gym_envs.repair.faults import Mutant, mutants
from trace_gym_envs.repair.generate import candidates, verified
from trace_gym_envs.repair.grader import judge
from trace_gym_envs.repair.operators import OPERATORS, mutations
from trace_gym_envs.repair.probes import Expected, probe
from trace_gym_envs.repair.projects import TEST_PROJECTS, TRAIN_PROJECTS, names, project

ALL = TRAIN_PROJECTS + TEST_PROJECTS


@pytest.fixture(scope="module")
def box(require) -> Iterator[Sandbox]:
    require("bwrap")
    opened = sandbox.provider("bwrap").open(workspace.SPEC)
    yield opened
    opened.close()


def mutated(operator: str, source: str) -> list[str]:
    """What an operator makes of a source."""
    return [edit.applied(source) for name, edit in mutations(source) if name == operator]


@pytest.mark.parametrize(
    ("operator", "source", "expected"),
    [
        ("comparison", "a < b", ["a <= b", "a > b"]),
        ("comparison", "a in (b == c)", ["a not in (b == c)", "a in (b != c)"]),
        ("comparison", "0 <= x < 9", ["0 < x < 9", "0 <= x <= 9", "0 <= x > 9"]),
        ("off_by_one", "f(3)", ["f(2)", "f(4)"]),
        ("off_by_one", "f(0, True, 'a')", ["f(1, True, 'a')"]),
        ("boolean", "a and b or c", ["a or b or c", "a and b and c"]),
        ("inverted_condition", "if not a:\n    b\n", ["if a:\n    b\n"]),
        ("inverted_condition", "x if a or b else y", ["x if not (a or b) else y"]),
        ("inverted_condition", "if a < b:\n    c\n", []),
        ("wrong_variable", "def f(a, b):\n    return a\n", ["def f(a, b):\n    return b\n"]),
        ("wrong_variable", "def f(self, a):\n    return a\n", []),
        ("swapped_arguments", "f(a,  b, c)", ["f(b,  a, c)", "f(a,  c, b)"]),
        ("swapped_arguments", "f(a, a, *b)", []),
        ("arithmetic", "(a) + (b)", ["(a) - (b)"]),
        ("arithmetic", "a // b % c", ["a % b % c", "a // b // c"]),
        ("augmented", "a += 1", ["a -= 1", "a = 1"]),
        ("dropped_return", "def f():\n    return g()\n", ["def f():\n    g()\n"]),
        ("dropped_return", "def f():\n    return 1\n", []),
        ("dropped_guard", "for a in b:\n    if a: continue\n    c\n", ["for a in b:\n    pass\n    c\n"]),
        ("dropped_else", "if a:\n    b\nelse:\n    c\n    d\n", ["if a:\n    b\nelse:\n    pass\n"]),
        ("dropped_else", "if a:\n    b\nelif c:\n    d\n", []),
        ("dropped_call", "f()\na = g()\n", ["pass\na = g()\n"]),
        (
            "dropped_await",
            "async def f():\n    return await g()\n",
            ["async def f():\n    return g()\n"],
        ),
        (
            "wrong_constant",
            "f(True, 'a', '')",
            ["f(False, 'a', '')", "f(True, \"\", '')", "f(True, 'a', \" \")"],
        ),
        ("wrong_constant", '"""A docstring."""\n', []),
        ("wrong_constant", "f'{a}b'", []),
        ("wrong_default", "def f(a, b=2, *, c=None, d=True): pass", [
            "def f(a, b=3, *, c=None, d=True): pass",
            "def f(a, b=2, *, c=0, d=True): pass",
            "def f(a, b=2, *, c=None, d=False): pass",
        ]),
        ("wrong_slice", "a[1:b]", ["a[:b]", "a[1:]"]),
        ("wrong_slice", "a[0] + a[-1] + a[i]", ["a[-1] + a[-1] + a[i]", "a[0] + a[0] + a[i]"]),
        ("swallowed_error", "def f():\n    raise E(1)\n", ["def f():\n    return None\n"]),
        ("swallowed_error", "try:\n    a\nexcept E:\n    raise\n", []),
        ("loop_control", "while a:\n    break\n", ["while a:\n    continue\n"]),
        ("wrong_function", "min(a) + b.lstrip()", ["max(a) + b.lstrip()", "min(a) + b.rstrip()"]),
    ],
)  # fmt: skip
def test_operators(operator: str, source: str, expected: list[str]) -> None:
    assert mutated(operator, source) == expected


def test_edits_find_their_place_behind_letters_of_several_bytes() -> None:
    source = 'NAME = "é€"; f("é", a, b)  # ü\n'
    assert mutated("swapped_arguments", source)[-1] == 'NAME = "é€"; f("é", b, a)  # ü\n'


def test_every_operator_has_mutants() -> None:
    count = Counter(mutant.operator for name in ALL for mutant in mutants(name))
    assert set(count) == set(OPERATORS)
    assert len(OPERATORS) == 19
    assert {name: len(mutants(name)) for name in ALL} == dict.fromkeys(ALL, 60)


def test_projects_are_divided_by_split() -> None:
    assert set(names(Split.TRAIN)) & set(names(Split.TEST)) == set()
    for name in ALL:
        found = project(name)
        assert len(found.sources) >= 4
        assert len(found.shown) >= 3
        assert "README.md" in found.fixed
        assert len(found.held_out) == 1


@pytest.mark.parametrize("name", ALL)
def test_sound_packages_pass_all_their_tests(name: str, box: Sandbox) -> None:
    outcomes = judge(box, name, project(name).sources)
    assert len(outcomes) >= 25
    assert [outcome for outcome in outcomes.values() if not outcome.passed] == []


@pytest.mark.parametrize("name", ALL)
def test_mutants_are_as_the_index_says(name: str, box: Sandbox) -> None:
    """A sample of every project; unittest, run in the workspace, agrees with the judge on what fails."""
    for mutant in mutants(name)[7::29]:
        assert verified(box, mutant) == mutant
        box.reset()
        workspace.lay_out(box, {**project(name).fixed, **mutant.sources()})
        said = workspace.run_tests(box, "")
        failing = set(re.findall(r"^(?:FAIL|ERROR): \S+ \((\S+)\)$", said, re.MULTILINE))
        whole = len(said) < workspace.MAX_SHOWN
        assert failing == set(mutant.failing) if whole else failing <= set(mutant.failing)


def test_generating_again_finds_the_same(box: Sandbox) -> None:
    found = []
    for candidate in candidates("cache"):
        mutant = verified(box, candidate)
        found += [mutant] if mutant is not None else []
        if len(found) == 8:
            break
    assert set(found) <= set(mutants("cache"))


def test_an_index_for_other_files_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    text = faults.INDEX.read_text("utf-8").replace(project("money").digest, "0" * 16)
    (tmp_path / "mutants.json").write_text(text, "utf-8")
    monkeypatch.setattr(faults, "INDEX", tmp_path / "mutants.json")
    mutants.cache_clear()
    with pytest.raises(MalformedData, match="other files of project 'money'"):
        mutants("money")
    mutants.cache_clear()


def test_a_mutant_is_one_small_change() -> None:
    for name in ALL:
        for mutant in mutants(name):
            sound = project(name).sources[mutant.path]
            assert sound[mutant.edit.start : mutant.edit.end] == mutant.old
            assert mutant.source != sound
            assert Mutant.of(name, mutant.json()) == mutant


def test_probes_hold_no_answers() -> None:
    source = (
        "import unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_a(self):\n"
        "        self.assertEqual(f(1), (2, 'secret'))\n"
        "        with self.assertRaises(mod.Oops):\n"
        "            f(3)\n"
        "        x = f(4)\n"
        "        f(x)\n"
    )
    made = probe("tests/test_t.py", source)
    assert "secret" not in made.source
    assert "Oops" not in made.source
    expected = (Expected((2, "secret")), Expected(raises="Oops"), *[Expected(anything=True)] * 2)
    assert made.expected == {"test_t.T.test_a": expected}
    assert made.source.count("with self.seen() as seen:") == 4


@pytest.mark.parametrize("line", ["self.assertTrue(f())", "self.assertEqual(f(), g())", "f()"])
def test_tests_that_cannot_be_graded_are_refused(line: str) -> None:
    source = f"import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        {line}\n"
    with pytest.raises(ValueError, match=r"test_t\.T\.test_a: "):
        probe("tests/test_t.py", source)
