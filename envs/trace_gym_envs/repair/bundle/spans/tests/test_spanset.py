"""Sets of spans."""

import unittest

from spans.spanset import SpanSet


class SpanSetTest(unittest.TestCase):
    def test_spans_that_touch_are_one(self):
        self.assertEqual(SpanSet([(5, 7), (1, 3), (3, 5)]).pairs(), [(1, 7)])

    def test_spans_are_sorted(self):
        self.assertEqual(SpanSet([(9, 10), (1, 2), (4, 6)]).pairs(), [(1, 2), (4, 6), (9, 10)])

    def test_total_counts_each_number_once(self):
        self.assertEqual(SpanSet([(1, 4), (2, 6), (8, 9)]).total(), 6)
        self.assertEqual(SpanSet().total(), 0)

    def test_remove_splits(self):
        numbers = SpanSet([(0, 10)])
        numbers.remove(4, 6)
        self.assertEqual(numbers.pairs(), [(0, 4), (6, 10)])

    def test_remove_leaves_neighbours_alone(self):
        numbers = SpanSet([(0, 4), (6, 10)])
        numbers.remove(4, 6)
        self.assertEqual(numbers.pairs(), [(0, 4), (6, 10)])

    def test_covers(self):
        numbers = SpanSet([(2, 4), (7, 8)])
        self.assertEqual([n for n in range(10) if numbers.covers(n)], [2, 3, 7])

    def test_gaps(self):
        self.assertEqual(SpanSet([(2, 4), (7, 8)]).gaps(0, 10), [(0, 2), (4, 7), (8, 10)])
        self.assertEqual(SpanSet([(0, 10)]).gaps(3, 5), [])

    def test_union(self):
        self.assertEqual(SpanSet([(0, 2)]).union(SpanSet([(2, 3), (5, 6)])).pairs(), [(0, 3), (5, 6)])

    def test_intersection(self):
        one, two = SpanSet([(0, 5), (8, 12)]), SpanSet([(3, 9), (11, 20)])
        self.assertEqual(one.intersection(two).pairs(), [(3, 5), (8, 9), (11, 12)])
