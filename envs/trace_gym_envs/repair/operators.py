"""Mutation operators: small, plausible mistakes, as edits of source text.

Each operator looks at one node of the syntax tree and yields edits: a span of the text and what stands there
instead. Leaves out whether a mistake shows (see `generate`).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from trace_gym_envs.repair.code import Code, Edit

Operator: TypeAlias = Callable[[Code, ast.AST], Iterator[Edit]]

_COMPARISONS: Final[Mapping[type, tuple[str, tuple[str, ...]]]] = {
    ast.Lt: ("<", ("<=", ">")),
    ast.LtE: ("<=", ("<",)),
    ast.Gt: (">", (">=", "<")),
    ast.GtE: (">=", (">",)),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
}
_ARITHMETIC: Final[Mapping[type, tuple[str, str]]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.FloorDiv: ("//", "%"),
    ast.Mod: ("%", "//"),
    ast.Div: ("/", "//"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
}
_AUGMENTED: Final[Mapping[type, str]] = {ast.Add: "-=", ast.Sub: "+="}
_TWINS: Final[Mapping[str, str]] = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "startswith": "endswith",
    "endswith": "startswith",
    "lstrip": "rstrip",
    "rstrip": "lstrip",
    "partition": "rpartition",
    "rpartition": "partition",
    "find": "rfind",
    "append": "extend",
    "ljust": "rjust",
    "rjust": "ljust",
    "upper": "lower",
    "popleft": "pop",
}


def comparison(code: Code, node: ast.AST) -> Iterator[Edit]:
    """`<` for `<=`, `==` for `!=`, `in` for `not in`."""
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for left, right, operator in zip(operands, operands[1:], node.ops, strict=False):
            old, others = _COMPARISONS[type(operator)]
            for new in others:
                yield from code.between(left, right, old, new)


def off_by_one(code: Code, node: ast.AST) -> Iterator[Edit]:
    """A whole number that is one too large or too small."""
    if isinstance(node, ast.Constant) and type(node.value) is int and 0 <= node.value < 100:
        yield code.replace(node, str(node.value + 1))
        if node.value:
            yield code.replace(node, str(node.value - 1))


def boolean(code: Code, node: ast.AST) -> Iterator[Edit]:
    """`and` for `or`."""
    if isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield from code.between(left, right, old, new)


def inverted_condition(code: Code, node: ast.AST) -> Iterator[Edit]:
    """A condition turned into its opposite."""
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        test = node.test
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            yield code.replace(test, code.text(test.operand))
        elif not isinstance(test, (ast.Compare, ast.Constant)):
            shown = code.text(test)
            yield code.replace(test, f"not ({shown})" if isinstance(test, ast.BoolOp) else f"not {shown}")


def wrong_variable(code: Code, node: ast.AST) -> Iterator[Edit]:
    """Another variable of the same function."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    known = {argument.arg for argument in arguments} - {"self", "cls"}
    whole = {id(inner) for inner in code.nodes}
    names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name) and id(inner) in whole]
    known |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    ordered = sorted(known)
    for name in names:
        if isinstance(name.ctx, ast.Load) and name.id in known and len(ordered) > 1:
            yield code.replace(name, ordered[(ordered.index(name.id) + 1) % len(ordered)])


def swapped_arguments(code: Code, node: ast.AST) -> Iterator[Edit]:
    """Two neighbouring arguments of a call in the wrong order."""
    if isinstance(node, ast.Call) and not any(isinstance(a, ast.Starred) for a in node.args):
        for one, other in zip(node.args, node.args[1:], strict=False):
            start, end = code.span(one)[0], code.span(other)[1]
            middle = code.source[code.span(one)[1] : code.span(other)[0]]
            if code.text(one) != code.text(other):
                yield Edit(start, end, code.text(other) + middle + code.text(one))


def arithmetic(code: Code, node: ast.AST) -> Iterator[Edit]:
    """`-` for `+`, `%` for `//`."""
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield from code.between(node.left, node.right, *_ARITHMETIC[type(node.op)])


def augmented(code: Code, node: ast.AST) -> Iterator[Edit]:
    """`-=` for `+=`, or `=`: the old value is forgotten."""
    if isinstance(node, ast.AugAssign) and type(node.op) in _AUGMENTED:
        start, end = code.span(node.target)[1], code.span(node.value)[0]
        at = code.source.index("=", start, end) - 1
        yield Edit(at, at + 2, _AUGMENTED[type(node.op)])
        yield Edit(at, at + 2, "=")


def dropped_return(code: Code, node: ast.AST) -> Iterator[Edit]:
    """A value that is computed but not returned."""
    if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield code.replace(node, code.text(node.value))


def dropped_guard(code: Code, node: ast.AST) -> Iterator[Edit]:
    """A guard that is missing: an `if` that leaves the function or loop."""
    if isinstance(node, ast.If) and not node.orelse and _leaves(node.body[-1]):
        yield code.replace(node, "pass")


def _leaves(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.Return, ast.Raise, ast.Continue, ast.Break))


def dropped_else(code: Code, node: ast.AST) -> Iterator[Edit]:
    """An `else` that does nothing."""
    if isinstance(node, ast.If) and node.orelse and not isinstance(node.orelse[0], ast.If):
        start, end = code.span(node.orelse[0])[0], code.span(node.orelse[-1])[1]
        yield Edit(start, end, "pass")


def dropped_call(code: Code, node: ast.AST) -> Iterator[Edit]:
    """A step that is left out."""
    if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await)):
        yield code.replace(node, "pass")


def dropped_await(code: Code, node: ast.AST) -> Iterator[Edit]:
    """A coroutine that nobody awaits."""
    if isinstance(node, ast.Await):
        yield code.replace(node, code.text(node.value))


def wrong_constant(code: Code, node: ast.AST) -> Iterator[Edit]:
    """Another truth value, or a text that is empty or not."""
    if not isinstance(node, ast.Constant) or id(node) in code.documents:
        return
    if isinstance(node.value, bool):
        yield code.replace(node, str(not node.value))
    elif isinstance(node.value, str) and code.text(node)[:1] in ("'", '"'):
        yield code.replace(node, '""' if node.value else '" "')


def wrong_default(code: Code, node: ast.AST) -> Iterator[Edit]:
    """A parameter whose default is another value."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]:
            if isinstance(default, ast.Constant) and type(default.value) is int:
                yield code.replace(default, str(default.value + 1))
            elif isinstance(default, ast.Constant) and isinstance(default.value, bool):
                yield code.replace(default, str(not default.value))
            elif isinstance(default, ast.Constant) and default.value is None:
                yield code.replace(default, "0")


def wrong_slice(code: Code, node: ast.AST) -> Iterator[Edit]:
    """A slice that lacks a bound, or an index at the other end."""
    if not isinstance(node, ast.Subscript):
        return
    if isinstance(node.slice, ast.Slice):
        for bound in (node.slice.lower, node.slice.upper):
            if bound is not None:
                yield code.replace(bound, "")
    elif code.text(node.slice) in ("0", "-1"):
        yield code.replace(node.slice, "-1" if code.text(node.slice) == "0" else "0")


def swallowed_error(code: Code, node: ast.AST) -> Iterator[Edit]:
    """An error that is not raised."""
    if isinstance(node, ast.Raise) and node.exc is not None:
        yield code.replace(node, "return None")


def loop_control(code: Code, node: ast.AST) -> Iterator[Edit]:
    """`break` for `continue`."""
    if isinstance(node, ast.Continue):
        yield code.replace(node, "break")
    elif isinstance(node, ast.Break):
        yield code.replace(node, "continue")


def wrong_function(code: Code, node: ast.AST) -> Iterator[Edit]:
    """The function next to the right one: `min` for `max`, `lstrip` for `rstrip`."""
    if isinstance(node, ast.Call):
        called = node.func
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        if name in _TWINS:
            end = code.span(called)[1]
            yield Edit(end - len(name), end, _TWINS[name])


OPERATORS: Final[Mapping[str, Operator]] = {
    operator.__name__: operator
    for operator in (
        comparison,
        off_by_one,
        boolean,
        inverted_condition,
        wrong_variable,
        swapped_arguments,
        arithmetic,
        augmented,
        dropped_return,
        dropped_guard,
        dropped_else,
        dropped_call,
        dropped_await,
        wrong_constant,
        wrong_default,
        wrong_slice,
        swallowed_error,
        loop_control,
        wrong_function,
    )
}


def mutations(source: str) -> Iterator[tuple[str, Edit]]:
    """Every edit of every operator that leaves a program, and another one than before, with the operator's
    name. The order is that of the operators, then that of the text."""
    code = Code(source)
    before = ast.dump(code.tree)
    for name, operator in OPERATORS.items():
        edits = {edit for node in code.nodes for edit in operator(code, node)}
        for edit in sorted(edits, key=lambda e: (e.start, e.end, e.text)):
            try:
                after = ast.dump(ast.parse(edit.applied(source)))
            except SyntaxError:
                continue
            if after != before:
                yield name, edit
