"""Rows as text."""

from fractions import Fraction

from matrix.dense import Matrix


class BadText(ValueError):
    """Text that is no matrix."""


def read(text):
    """A matrix from lines of values divided by blanks; `#` begins a comment, blank lines do not count."""
    rows = []
    for line in text.splitlines():
        values = line.split("#")[0].split()
        if not values:
            continue
        try:
            rows.append([Fraction(value) for value in values])
        except (ValueError, ZeroDivisionError):
            raise BadText(line.strip()) from None
    if not rows:
        raise BadText("there are no rows")
    return Matrix(rows)


def write(matrix):
    """Lines of values, columns aligned to the right."""
    cells = [[str(value) for value in row] for row in matrix.rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells)]
    return "\n".join(" ".join(c.rjust(w) for c, w in zip(row, widths)) for row in cells)
