"""Tokens to a tree of nested tuples: ("number", 1), ("name", "x"), ("call", "f", [..]), ("neg", a),
("not", a), or (operator, a, b)."""

from calc.tokens import CalcError, tokenize

LEVELS = (("or",), ("and",), ("<", "<=", ">", ">=", "==", "!="), ("+", "-"), ("*", "/", "//", "%"))
NOT_LEVEL = 2


class Parser:
    """Reads one expression by recursive descent."""

    def __init__(self, text):
        self._tokens = tokenize(text)
        self._at = 0

    def parse(self):
        """The tree of the whole text. Raises CalcError."""
        tree = self._binary(0)
        kind, value, position = self._peek()
        if kind != "end":
            raise CalcError(f"{value!r} at {position} is too much")
        return tree

    def _peek(self):
        return self._tokens[self._at]

    def _take(self):
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _accept(self, *values):
        """The operator that comes next, if it is one of these."""
        kind, value, _ = self._peek()
        if kind == "op" and value in values:
            self._at += 1
            return value
        return None

    def _binary(self, level):
        if level == NOT_LEVEL and self._accept("not"):
            return ("not", self._binary(level))
        if level == len(LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while True:
            found = self._accept(*LEVELS[level])
            if found is None:
                return left
            left = (found, left, self._binary(level + 1))

    def _unary(self):
        if self._accept("-"):
            return ("neg", self._unary())
        if self._accept("+"):
            return self._unary()
        return self._power()

    def _power(self):
        base = self._atom()
        if self._accept("^"):
            return ("^", base, self._unary())
        return base

    def _atom(self):
        kind, value, position = self._take()
        if kind == "number":
            return ("number", value)
        if kind == "name":
            if self._peek()[0] == "open":
                self._take()
                return ("call", value, self._arguments())
            return ("name", value)
        if kind == "open":
            inside = self._binary(0)
            self._expect("close")
            return inside
        raise CalcError(f"expected a value at {position}")

    def _arguments(self):
        if self._peek()[0] == "close":
            self._take()
            return []
        found = [self._binary(0)]
        while self._peek()[0] == "comma":
            self._take()
            found.append(self._binary(0))
        self._expect("close")
        return found

    def _expect(self, wanted):
        kind, value, position = self._take()
        if kind != wanted:
            raise CalcError(f"expected {wanted} at {position}, got {value!r}")
