"""Single spans."""

import unittest

from spans.span import EmptySpan, Span


class SpanTest(unittest.TestCase):
    def test_length(self):
        self.assertEqual(len(Span(3, 8)), 5)
        self.assertEqual(len(Span(-2, -1)), 1)

    def test_an_empty_span_is_refused(self):
        with self.assertRaises(EmptySpan):
            Span(4, 4)
        with self.assertRaises(EmptySpan):
            Span(5, 4)

    def test_contains_its_start_but_not_its_stop(self):
        self.assertEqual([Span(2, 4).contains(n) for n in (1, 2, 3, 4)], [False, True, True, False])

    def test_overlaps(self):
        self.assertEqual(Span(0, 5).overlaps(Span(4, 9)), True)
        self.assertEqual(Span(0, 5).overlaps(Span(5, 9)), False)
        self.assertEqual(Span(5, 9).overlaps(Span(0, 5)), False)

    def test_touches(self):
        self.assertEqual(Span(0, 5).touches(Span(5, 9)), True)
        self.assertEqual(Span(5, 9).touches(Span(0, 5)), True)
        self.assertEqual(Span(0, 5).touches(Span(6, 9)), False)

    def test_common(self):
        self.assertEqual(Span(0, 5).common(Span(3, 9)).pair(), (3, 5))
        self.assertEqual(Span(0, 5).common(Span(7, 9)), None)

    def test_joined(self):
        self.assertEqual(Span(0, 5).joined(Span(5, 9)).pair(), (0, 9))
        with self.assertRaises(ValueError):
            Span(0, 5).joined(Span(6, 9))

    def test_without_the_middle(self):
        self.assertEqual([s.pair() for s in Span(0, 10).without(Span(3, 5))], [(0, 3), (5, 10)])

    def test_without_all_of_it(self):
        self.assertEqual(Span(3, 5).without(Span(0, 10)), [])
