"""Cases that are not shown."""

import unittest

from spans.notation import BadNotation, parse, write
from spans.span import EmptySpan, Span
from spans.spanset import SpanSet


class MoreTest(unittest.TestCase):
    def test_without_on_either_side(self):
        self.assertEqual([s.pair() for s in Span(0, 10).without(Span(-5, 3))], [(3, 10)])
        self.assertEqual([s.pair() for s in Span(0, 10).without(Span(7, 30))], [(0, 7)])
        self.assertEqual([s.pair() for s in Span(0, 10).without(Span(0, 1))], [(1, 10)])

    def test_empty_additions_are_refused(self):
        numbers = SpanSet([(1, 2)])
        with self.assertRaises(EmptySpan):
            numbers.add(7, 7)
        self.assertEqual(numbers.pairs(), [(1, 2)])

    def test_covers_far_away(self):
        numbers = SpanSet([(10, 20), (30, 40), (50, 51)])
        self.assertEqual(
            [numbers.covers(n) for n in (9, 10, 19, 20, 35, 40, 50, 51)],
            [False, True, True, False, True, False, True, False],
        )
        self.assertEqual(SpanSet().covers(0), False)

    def test_one_span_swallows_many(self):
        self.assertEqual(SpanSet([(1, 2), (4, 5), (7, 9), (20, 21), (0, 10)]).pairs(), [(0, 10), (20, 21)])

    def test_gaps_at_the_edges(self):
        self.assertEqual(SpanSet([(0, 3), (6, 9)]).gaps(0, 9), [(3, 6)])
        self.assertEqual(SpanSet().gaps(2, 5), [(2, 5)])

    def test_intersection_of_equal_ends(self):
        one, two = SpanSet([(0, 4), (6, 8)]), SpanSet([(2, 4), (4, 7)])
        self.assertEqual(one.intersection(two).pairs(), [(2, 4), (6, 7)])
        self.assertEqual(two.intersection(one).pairs(), [(2, 4), (6, 7)])
        self.assertEqual(one.intersection(SpanSet()).pairs(), [])

    def test_union_leaves_both_alone(self):
        one, two = SpanSet([(0, 2)]), SpanSet([(1, 5)])
        self.assertEqual(one.union(two).pairs(), [(0, 5)])
        self.assertEqual((one.pairs(), two.pairs()), ([(0, 2)], [(1, 5)]))

    def test_notation_of_single_numbers(self):
        self.assertEqual(write(parse("3,5,7,6")), "3,5-7")
        self.assertEqual(parse("4-4").pairs(), [(4, 5)])
        with self.assertRaises(BadNotation):
            parse("-3")
