"""Matrices as rows of fractions."""

from fractions import Fraction


class SizeError(ValueError):
    """Sizes that do not fit."""


class Matrix:
    """A rectangular matrix of fractions. Never changes."""

    def __init__(self, rows):
        self.rows = [[Fraction(value) for value in row] for row in rows]
        if not self.rows or not self.rows[0]:
            raise SizeError("a matrix is not empty")
        if any(len(row) != len(self.rows[0]) for row in self.rows):
            raise SizeError("all rows are of one length")

    @classmethod
    def identity(cls, size):
        """Ones on the diagonal, zeros elsewhere."""
        return cls([[1 if i == j else 0 for j in range(size)] for i in range(size)])

    @property
    def size(self):
        """Numbers of rows and columns."""
        return (len(self.rows), len(self.rows[0]))

    def __eq__(self, other):
        return isinstance(other, Matrix) and self.rows == other.rows

    def numbers(self):
        """The rows as whole numbers, and texts such as `1/3` where they are not whole."""
        return [[v.numerator if v.denominator == 1 else str(v) for v in row] for row in self.rows]

    def plus(self, other):
        """The sum."""
        if self.size != other.size:
            raise SizeError(f"{self.size} plus {other.size}")
        return Matrix([[a + b for a, b in zip(r, s)] for r, s in zip(self.rows, other.rows)])

    def scaled(self, factor):
        """Every value times a factor."""
        return Matrix([[value * factor for value in row] for row in self.rows])

    def minus(self, other):
        """The difference."""
        return self.plus(other.scaled(-1))

    def transposed(self):
        """Rows as columns."""
        return Matrix([list(column) for column in zip(*self.rows)])

    def times(self, other):
        """The matrix product."""
        if self.size[1] != other.size[0]:
            raise SizeError(f"{self.size} times {other.size}")
        columns = other.transposed().rows
        return Matrix([[sum(a * b for a, b in zip(row, column)) for column in columns] for row in self.rows])

    def power(self, exponent):
        """The product of so many copies, by repeated squaring."""
        if self.size[0] != self.size[1]:
            raise SizeError("only square matrices have powers")
        if exponent < 0:
            raise ValueError("the exponent must not be negative")
        result, base = Matrix.identity(self.size[0]), self
        while exponent:
            if exponent % 2:
                result = result.times(base)
            base = base.times(base)
            exponent //= 2
        return result

    def trace(self):
        """The sum of the diagonal."""
        return sum(self.rows[i][i] for i in range(min(self.size)))
