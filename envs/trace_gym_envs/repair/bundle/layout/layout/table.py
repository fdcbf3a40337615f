"""Rows to columns."""

from layout.words import shorten


def is_number(cell):
    """Does a cell hold a number, perhaps with a sign, points, or a percent mark?"""
    digits = cell.lstrip("+-").rstrip("%").replace(".", "", 1)
    return digits.isdigit()


def widths(rows):
    """The width of each column: that of its widest cell. Rows may be of different lengths."""
    count = max((len(row) for row in rows), default=0)
    return [max(len(row[i]) for row in rows if i < len(row)) for i in range(count)]


def table(rows, header=False, limit=None):
    """Rows as lines of text; with a header, a line of dashes follows the first row.

    `limit`: no cell is wider; longer ones are shortened.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    if limit is not None:
        cells = [[shorten(cell, limit) for cell in row] for row in cells]
    columns = widths(cells)
    lines = []
    for number, row in enumerate(cells):
        parts = []
        for i, cell in enumerate(row):
            right = is_number(cell) and not (header and number == 0)
            parts.append(cell.rjust(columns[i]) if right else cell.ljust(columns[i]))
        lines.append("  ".join(parts).rstrip())
        if header and number == 0:
            lines.append("  ".join("-" * width for width in columns))
    return "\n".join(lines)


def totals(rows, label="total"):
    """A last row with the sums of all columns that hold numbers only; other cells are empty."""
    count = max((len(row) for row in rows), default=0)
    last = []
    for i in range(count):
        cells = [row[i] for row in rows if i < len(row)]
        summed = all(isinstance(cell, (int, float)) for cell in cells)
        last.append(sum(cells) if summed else "")
    if last and last[0] == "":
        last[0] = label
    return [*rows, last]
