"""Lines."""

import unittest

from layout.fill import align, break_lines, fill, justify


class FillTest(unittest.TestCase):
    def test_break_lines(self):
        self.assertEqual(break_lines("aa bb cc d".split(), 5), [["aa", "bb"], ["cc", "d"]])

    def test_a_line_may_be_full(self):
        self.assertEqual(break_lines("abc de fghijk".split(), 6), [["abc", "de"], ["fghijk"]])

    def test_no_words(self):
        self.assertEqual(break_lines([], 6), [])

    def test_justify(self):
        self.assertEqual(justify(["a", "b", "c"], 8), "a   b  c")
        self.assertEqual(justify(["a", "b"], 3), "a b")

    def test_a_single_word_stands_left(self):
        self.assertEqual(justify(["abc"], 8), "abc")

    def test_align(self):
        self.assertEqual(
            [align(["a", "b"], 6, how) for how in ("left", "right", "centre", "justify")],
            ["a b", "   a b", " a b", "a    b"],
        )
        with self.assertRaises(ValueError):
            align(["a"], 5, "middle")

    def test_fill(self):
        self.assertEqual(fill("one two three\n\nfour", 8), "one two\nthree\n\nfour")

    def test_the_last_line_is_not_justified(self):
        self.assertEqual(fill("a b c d e", 6, "justify"), "a  b c\nd e")

    def test_hanging_indent(self):
        self.assertEqual(fill("one two three", 10, first="* "), "* one two\n  three")
        self.assertEqual(fill("one two three", 10, first="> ", rest="> "), "> one two\n> three")
