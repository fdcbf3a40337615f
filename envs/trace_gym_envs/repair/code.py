"""Source texts with their syntax trees, and edits of them.

Text rather than trees is edited, so that comments and layout stay as they are. Leaves out what to edit.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters `start` to `end` of a text are replaced by `text`."""

    start: int
    end: int
    text: str

    def applied(self, source: str) -> str:
        """The edited source."""
        return source[: self.start] + self.text + source[self.end :]


class Code:
    """A source text with its tree. `nodes` are those of the tree without what is inside of formatted
    strings, whose places Python 3.11 does not tell; `documents` the identities of docstrings. Never
    changes."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tree = ast.parse(source)
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._text = source.splitlines()
        everything = list(ast.walk(self.tree))
        inner = {id(n) for outer in everything if isinstance(outer, ast.JoinedStr) for n in ast.walk(outer)}
        self.nodes = [node for node in everything if id(node) not in inner]
        self.documents = {id(s.value) for n in everything for s in _documents(n)}

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Where a node stands in the text."""
        end = self._place(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        return self._place(node.lineno, node.col_offset), end

    def text(self, node: ast.expr | ast.stmt) -> str:
        """A node's own text."""
        start, end = self.span(node)
        return self.source[start:end]

    def replace(self, node: ast.expr | ast.stmt, text: str) -> Edit:
        """An edit that puts a text in a node's place."""
        return Edit(*self.span(node), text)

    def between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[Edit]:
        """An edit of the operator between two operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        at = self.source.find(old, start, end)
        if at >= 0:
            yield Edit(at, at + len(old), new)

    def _place(self, line: int, column: int) -> int:
        return self._lines[line - 1] + len(self._text[line - 1].encode()[:column].decode())


def _documents(node: ast.AST) -> Iterator[ast.Expr]:
    """The docstring statements of a node."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            yield first
