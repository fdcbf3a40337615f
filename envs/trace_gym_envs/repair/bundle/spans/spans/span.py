"""One half-open span of whole numbers."""


class EmptySpan(ValueError):
    """A span that would hold no number."""


class Span:
    """The whole numbers from `start` up to, but without, `stop`."""

    def __init__(self, start, stop):
        if stop <= start:
            raise EmptySpan(f"[{start}, {stop}) holds no number")
        self.start = start
        self.stop = stop

    def __len__(self):
        return self.stop - self.start

    def __eq__(self, other):
        return isinstance(other, Span) and self.pair() == other.pair()

    def __lt__(self, other):
        return self.pair() < other.pair()

    def pair(self):
        """Start and stop as a tuple."""
        return (self.start, self.stop)

    def contains(self, number):
        """Does the number lie in the span?"""
        return self.start <= number < self.stop

    def overlaps(self, other):
        """Do the spans share a number?"""
        return self.start < other.stop and other.start < self.stop

    def touches(self, other):
        """Do the spans share a number, or lie side by side?"""
        return self.start <= other.stop and other.start <= self.stop

    def joined(self, other):
        """The span from the first to the last number of two spans that touch."""
        if not self.touches(other):
            raise ValueError("spans that do not touch cannot be joined")
        return Span(min(self.start, other.start), max(self.stop, other.stop))

    def common(self, other):
        """The numbers that are in both spans, or None."""
        if not self.overlaps(other):
            return None
        return Span(max(self.start, other.start), min(self.stop, other.stop))

    def without(self, other):
        """What is left of this span when the other is cut out: none, one or two spans."""
        left = []
        if self.start < other.start:
            left.append(Span(self.start, min(self.stop, other.start)))
        if other.stop < self.stop:
            left.append(Span(max(self.start, other.stop), self.stop))
        return left
