"""Reading and writing."""

import unittest

from spans.notation import BadNotation, parse, write
from spans.spanset import SpanSet


class NotationTest(unittest.TestCase):
    def test_both_ends_belong(self):
        self.assertEqual(parse("1-3,7").pairs(), [(1, 4), (7, 8)])

    def test_blanks_do_not_matter(self):
        self.assertEqual(parse(" 4 - 5 , 9,").pairs(), [(4, 6), (9, 10)])

    def test_nothing_is_the_empty_set(self):
        self.assertEqual(parse("").pairs(), [])

    def test_backwards_is_refused(self):
        with self.assertRaises(BadNotation):
            parse("5-3")

    def test_words_are_refused(self):
        with self.assertRaises(BadNotation):
            parse("1,two")
        with self.assertRaises(BadNotation):
            parse("1-")

    def test_write(self):
        self.assertEqual(write(SpanSet([(1, 4), (7, 8)])), "1-3,7")

    def test_write_is_the_inverse(self):
        self.assertEqual(write(parse("9,1-2,3-5,11")), "1-5,9,11")
