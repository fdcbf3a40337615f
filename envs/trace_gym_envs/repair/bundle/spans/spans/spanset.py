"""Sets of whole numbers, kept as sorted spans that neither overlap nor touch."""

from bisect import bisect_right

from spans.span import Span


class SpanSet:
    """A set of numbers. Invariant: its spans are sorted, and between two of them at least one number is
    missing."""

    def __init__(self, pairs=()):
        self._spans = []
        for start, stop in pairs:
            self.add(start, stop)

    def pairs(self):
        """The spans as (start, stop) tuples, in order."""
        return [span.pair() for span in self._spans]

    def total(self):
        """How many numbers are in the set."""
        return sum(len(span) for span in self._spans)

    def add(self, start, stop):
        """Put the numbers from start up to stop into the set."""
        new = Span(start, stop)
        kept = []
        for span in self._spans:
            if span.touches(new):
                new = new.joined(span)
            else:
                kept.append(span)
        kept.append(new)
        self._spans = sorted(kept)

    def remove(self, start, stop):
        """Take the numbers from start up to stop out of the set."""
        cut = Span(start, stop)
        left = []
        for span in self._spans:
            left.extend(span.without(cut) if span.overlaps(cut) else [span])
        self._spans = left

    def covers(self, number):
        """Is the number in the set? A search by halves: the set may be large."""
        starts = [span.start for span in self._spans]
        place = bisect_right(starts, number) - 1
        if place < 0:
            return False
        return self._spans[place].contains(number)

    def gaps(self, start, stop):
        """The parts of [start, stop) that are not in the set, as pairs."""
        missing = SpanSet([(start, stop)])
        for span in self._spans:
            missing.remove(span.start, span.stop)
        return missing.pairs()

    def union(self, other):
        """The numbers that are in either set, as a new set."""
        result = SpanSet(self.pairs())
        for start, stop in other.pairs():
            result.add(start, stop)
        return result

    def intersection(self, other):
        """The numbers that are in both sets, as a new set."""
        result = SpanSet()
        mine, theirs = 0, 0
        while mine < len(self._spans) and theirs < len(other._spans):
            one, two = self._spans[mine], other._spans[theirs]
            both = one.common(two)
            if both is not None:
                result.add(both.start, both.stop)
            if one.stop <= two.stop:
                mine += 1
            else:
                theirs += 1
        return result
