"""The public examples: calls with literal arguments and results that a problem's docstring shows.

Docstrings write them in many ways, `>>> f(1)` and the result on the next line, `f(1) == 2`, `f(1) ➞ 2`,
`f(1) should return 2.` and more. Only what reads as a whole literal counts. Leaves out examples in prose
("Input: ..., Output: ..."), and the few that contradict the reference solution.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

# Found by running the reference solution on every example.
CONTRADICTED: Final = frozenset(
    {
        ("HumanEval/47", "median([-10, 4, 6, 1000, 10, 20])"),
        ("HumanEval/116", "sort_array([1, 5, 2, 3, 4])"),
        ("HumanEval/116", "sort_array([-2, -3, -4, -5, -6])"),
        ("HumanEval/116", "sort_array([1, 0, 2, 3, 4])"),
        ("HumanEval/130", "tri(1)"),
        ("HumanEval/130", "tri(4)"),
        ("HumanEval/148", "bf('Earth', 'Mercury')"),
    }
)

_ARROW = re.compile(r"\s*(?:#\s*)?(?:==>|=>|==|=|->|➞|(?:should\s+)?returns?\b)?\s*")
_REST = re.compile(r"\s*(?:$|[.,;#(])")
_WORDS: Final = {"true": "True", "false": "False"}


@dataclass(frozen=True, slots=True)
class Example:
    """A call and what it should return; `arguments` and `result` are built from literals."""

    arguments: tuple[Any, ...]
    result: Any

    def told(self, name: str) -> str:
        """The call as Python writes it."""
        return f"{name}({', '.join(map(repr, self.arguments))})"


def examples_of(problem: str, name: str, prompt: str) -> tuple[Example, ...]:
    """The examples that a prompt shows of its function, each once, less the contradicted ones."""
    found: dict[str, Example] = {}
    for example in _all(name, prompt):
        call = example.told(name)
        if (problem, call) not in CONTRADICTED:
            found.setdefault(call, example)
    return tuple(found.values())


def _all(name: str, prompt: str) -> Iterator[Example]:
    for start in re.finditer(rf"(?<![\w.]){re.escape(name)}\(", prompt):
        line_end = prompt.find("\n", start.end())
        line = prompt[start.start() : line_end]
        for close in re.finditer(r"\)", line):
            arguments = _arguments(line[: close.end()])
            if arguments is not None:
                break
        else:
            continue
        rest = line[close.end() :]
        if not rest.strip():
            rest = prompt[line_end + 1 :].partition("\n")[0]
        arrow = _ARROW.match(rest)
        result = _leading(rest[arrow.end() if arrow else 0 :])
        if result is not None:
            yield Example(arguments, result[0])


def _arguments(call: str) -> tuple[Any, ...] | None:
    """The literal arguments of a call; None where the text is no such call."""
    try:
        node = ast.parse(call, mode="eval").body
        if not isinstance(node, ast.Call) or node.keywords:
            return None
        return tuple(ast.literal_eval(argument) for argument in node.args)
    except (SyntaxError, ValueError):
        return None


def _leading(text: str) -> tuple[Any] | None:
    """The literal that a text begins with, if a sentence could end after it."""
    for end in range(len(text), 0, -1):
        if not _REST.match(text[end:]):
            continue
        word = text[:end].strip()
        try:
            return (ast.literal_eval(_WORDS.get(word, word)),)
        except (SyntaxError, ValueError):
            continue
    return None
