"""Row reduction and what it is good for."""

from fractions import Fraction

from matrix.dense import Matrix, SizeError


class NoSolution(ValueError):
    """A system that contradicts itself, or a matrix without inverse."""


def reduced(matrix, columns=None):
    """The reduced row echelon form, its pivot columns, and the factor by which the determinant changed.

    `columns`: pivots are looked for in the first so many columns only.
    """
    rows = [list(row) for row in matrix.rows]
    limit = matrix.size[1] if columns is None else columns
    pivots = []
    factor = Fraction(1)
    at = 0
    for column in range(limit):
        found = next((i for i in range(at, len(rows)) if rows[i][column] != 0), None)
        if found is None:
            continue
        if found != at:
            rows[at], rows[found] = rows[found], rows[at]
            factor = -factor
        lead = rows[at][column]
        factor *= lead
        rows[at] = [value / lead for value in rows[at]]
        for i in range(len(rows)):
            if i != at and rows[i][column] != 0:
                times = rows[i][column]
                rows[i] = [a - times * b for a, b in zip(rows[i], rows[at])]
        pivots.append(column)
        at += 1
        if at == len(rows):
            break
    return Matrix(rows), pivots, factor


def rank(matrix):
    """The number of independent rows."""
    return len(reduced(matrix)[1])


def determinant(matrix):
    """The determinant of a square matrix."""
    if matrix.size[0] != matrix.size[1]:
        raise SizeError("only square matrices have a determinant")
    _, pivots, factor = reduced(matrix)
    return factor if len(pivots) == matrix.size[0] else Fraction(0)


def beside(left, right):
    """Two matrices next to each other."""
    if left.size[0] != right.size[0]:
        raise SizeError(f"{left.size} beside {right.size}")
    return Matrix([a + b for a, b in zip(left.rows, right.rows)])


def inverse(matrix):
    """The matrix whose product with this one is the identity."""
    size = matrix.size[0]
    if matrix.size[1] != size:
        raise SizeError("only square matrices have an inverse")
    both, pivots, _ = reduced(beside(matrix, Matrix.identity(size)), columns=size)
    if len(pivots) < size:
        raise NoSolution("the matrix has no inverse")
    return Matrix([row[size:] for row in both.rows])


def solve(matrix, right):
    """A solution x of `matrix` x = `right`, a list of fractions; free unknowns are zero."""
    unknowns = matrix.size[1]
    both, pivots, _ = reduced(beside(matrix, Matrix([[value] for value in right])), columns=unknowns)
    for row in both.rows[len(pivots) :]:
        if row[-1] != 0:
            raise NoSolution("the system contradicts itself")
    solution = [Fraction(0)] * unknowns
    for row, column in zip(both.rows, pivots):
        solution[column] = row[-1]
    return solution
