"""Vectors and matrices that keep only what is not zero."""

from matrix.dense import Matrix, SizeError


class Sparse:
    """A matrix as a table of its values by (row, column). Invariant: no value in it is zero."""

    def __init__(self, height, width, values=None):
        if height < 1 or width < 1:
            raise SizeError("a matrix is not empty")
        self.height = height
        self.width = width
        self._values = {}
        for place, value in (values or {}).items():
            self.put(place, value)

    def put(self, place, value):
        """Set a value; zero removes it."""
        row, column = place
        if not (0 <= row < self.height and 0 <= column < self.width):
            raise SizeError(f"there is no place {place}")
        if value == 0:
            self._values.pop(place, None)
        else:
            self._values[place] = value

    def get(self, place):
        """A value."""
        return self._values.get(place, 0)

    def count(self):
        """How many values are not zero."""
        return len(self._values)

    def items(self):
        """Places and values, sorted by place."""
        return sorted(self._values.items())

    def plus(self, other):
        """The sum."""
        if (self.height, self.width) != (other.height, other.width):
            raise SizeError("sizes differ")
        result = Sparse(self.height, self.width, self._values)
        for place, value in other.items():
            result.put(place, result.get(place) + value)
        return result

    def times(self, other):
        """The matrix product; takes time for values that are not zero only."""
        if self.width != other.height:
            raise SizeError("sizes do not fit")
        by_row = {}
        for (row, column), value in other.items():
            by_row.setdefault(row, []).append((column, value))
        result = Sparse(self.height, other.width)
        for (row, middle), value in self.items():
            for column, factor in by_row.get(middle, ()):
                place = (row, column)
                result.put(place, result.get(place) + value * factor)
        return result

    def dense(self):
        """The same as a Matrix."""
        return Matrix([[self.get((i, j)) for j in range(self.width)] for i in range(self.height)])


def band(size, around, middle):
    """A square matrix with one value on the diagonal and another next to it."""
    result = Sparse(size, size)
    for i in range(size):
        result.put((i, i), middle)
        if i + 1 < size:
            result.put((i, i + 1), around)
            result.put((i + 1, i), around)
    return result
