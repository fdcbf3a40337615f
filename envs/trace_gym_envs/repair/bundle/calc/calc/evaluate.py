"""Trees to values."""

from calc.parser import Parser
from calc.tokens import CalcError


def evaluate(text, names=None):
    """The value of an expression; `names` gives the values of names. Raises CalcError."""
    return value_of(Parser(text).parse(), names or {})


def names_in(text):
    """The names that an expression needs, sorted, each once; functions are none."""
    found = set()
    pending = [Parser(text).parse()]
    while pending:
        tree = pending.pop()
        if tree[0] == "name":
            found.add(tree[1])
        elif tree[0] == "call":
            pending.extend(tree[2])
        elif tree[0] != "number":
            pending.extend(tree[1:])
    return sorted(found)


def value_of(tree, names):
    """The value of a tree."""
    kind = tree[0]
    if kind == "number":
        return tree[1]
    if kind == "name":
        if tree[1] not in names:
            raise CalcError(f"{tree[1]} has no value")
        return names[tree[1]]
    if kind == "call":
        return call(tree[1], tree[2], names)
    if kind == "neg":
        return -value_of(tree[1], names)
    if kind == "not":
        return not value_of(tree[1], names)
    left = value_of(tree[1], names)
    if kind == "and":
        return bool(left) and bool(value_of(tree[2], names))
    if kind == "or":
        return bool(left) or bool(value_of(tree[2], names))
    return binary(kind, left, value_of(tree[2], names))


def binary(kind, left, right):
    """The result of an operator that needs both sides."""
    if kind in ("/", "//", "%") and right == 0:
        raise CalcError("division by zero")
    if kind == "+":
        return left + right
    if kind == "-":
        return left - right
    if kind == "*":
        return left * right
    if kind == "/":
        result = left / right
        return int(result) if result == int(result) else result
    if kind == "//":
        return left // right
    if kind == "%":
        return left % right
    if kind == "^":
        if abs(right) > 64:
            raise CalcError("the exponent is too large")
        return left**right
    return compare(kind, left, right)


def compare(kind, left, right):
    """The result of a comparison."""
    if kind == "<":
        return left < right
    if kind == "<=":
        return left <= right
    if kind == ">":
        return left > right
    if kind == ">=":
        return left >= right
    if kind == "==":
        return left == right
    return left != right


def call(name, arguments, names):
    """The result of a function; `if` evaluates only the branch that it takes."""
    if name == "if":
        if len(arguments) != 3:
            raise CalcError("if takes three arguments")
        chosen = arguments[1] if value_of(arguments[0], names) else arguments[2]
        return value_of(chosen, names)
    values = [value_of(argument, names) for argument in arguments]
    if name == "abs" and len(values) == 1:
        return abs(values[0])
    if name == "sum":
        return sum(values)
    if name in ("min", "max") and values:
        return min(values) if name == "min" else max(values)
    raise CalcError(f"{name} cannot be called with {len(values)} arguments")
