"""Tests turned into questions: what the code under test is asked, without what it should answer.

A test of the bundled projects is a straight line of statements; it states what it expects in two ways only,
`self.assertEqual(actual, literal)` and `with self.assertRaises(Error): expression`. Here both, and calls and
assignments too, become the same question: what comes of an expression, a value or an error? What is expected
is cut out of the source, so that it can stay with the grader: what runs beside the code under test merely
reports what came (see `harness`) and does not even know where an error is due. Leaves out running anything.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_QUESTION: Final = "with self.seen() as seen:\n    seen.value = {} = {}"


@dataclass(frozen=True, slots=True)
class Expected:
    """What one statement of a test must report: a value, the name of an error's class (`raises`), or that no
    error came (`anything`)."""

    value: Any = None
    raises: str | None = None
    anything: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """One test file without its answers. `expected` leads from test ids (`test_x.ClassName.test_y`) to what
    the statements of the test must report, in order."""

    name: str
    source: str
    expected: Mapping[str, tuple[Expected, ...]]


def probe(path: str, source: str) -> Probe:
    """The probe of a test file. Raises ValueError for a test that is not written in the way above."""
    name = path.rpartition("/")[2].removesuffix(".py")
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if ast.unparse(node) != "import unittest"]
    expected: dict[str, tuple[Expected, ...]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or not _is_test_case(node):
            continue
        node.bases = [ast.Name("Probed", ast.Load())]
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name.startswith("test"):
                test = f"{name}.{node.name}.{method.name}"
                expected[test] = _cut(method, test)
    return Probe(name, ast.unparse(ast.fix_missing_locations(tree)), expected)


def _is_test_case(node: ast.ClassDef) -> bool:
    return [ast.unparse(base) for base in node.bases] == ["unittest.TestCase"]


def _cut(method: ast.FunctionDef, test: str) -> tuple[Expected, ...]:
    """Take the expected values out of a test method, in place, and return them."""
    found: list[Expected] = []
    asserted = sum("self.assert" in line for line in ast.unparse(method).splitlines())
    for place, statement in enumerate(method.body):
        name = "_"
        match statement:
            case ast.Expr(ast.Call(ast.Attribute(ast.Name("self"), "assertEqual"), [asked, answer])):
                try:
                    found.append(Expected(ast.literal_eval(answer)))
                except ValueError as error:
                    raise ValueError(f"{test}: what is expected must be a literal: {error}") from error
                asserted -= 1
            case ast.With(
                [ast.withitem(ast.Call(ast.Attribute(ast.Name("self"), "assertRaises"), [answer]))],
                [ast.Expr(asked)],
            ):
                found.append(Expected(raises=ast.unparse(answer).rpartition(".")[2]))
                asserted -= 1
            case ast.Expr(ast.Call() as asked):
                found.append(Expected(anything=True))
            case ast.Assign([ast.Name(name)], asked):
                found.append(Expected(anything=True))
            case _:
                continue
        method.body[place] = ast.parse(_QUESTION.format(name, ast.unparse(asked))).body[0]
    if asserted or all(each.anything for each in found):
        raise ValueError(f"{test}: {asserted} assertions cannot be graded")
    return tuple(found)
