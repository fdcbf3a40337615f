"""Cases that are not shown."""

import unittest

from layout.fill import align, break_lines, fill, justify
from layout.table import is_number, table, totals, widths
from layout.words import cut, paragraphs, shorten


class MoreTest(unittest.TestCase):
    def test_exact_cuts(self):
        self.assertEqual(
            [cut("abcdef", 2), cut("abcdefg", 4), cut("", 3)],
            [["a-", "b-", "c-", "d-", "ef"], ["abc-", "defg"], [""]],
        )

    def test_paragraphs_with_blanks(self):
        self.assertEqual(paragraphs("\n\n a\n \nb\tc\nd\n\n"), [["a"], ["b", "c", "d"]])

    def test_a_long_word_among_short_ones(self):
        self.assertEqual(break_lines(["a", "abcdefghij", "b"], 5), [["a"], ["abcd-"], ["efgh-"], ["ij", "b"]])

    def test_spread(self):
        self.assertEqual(
            [justify(["a", "b", "c", "d"], 12), justify(["a", "b", "c", "d"], 10)],
            ["a   b   c  d", "a  b  c  d"],
        )

    def test_centre_of_odd_room(self):
        self.assertEqual(
            [align(["ab"], 5, "centre"), align(["ab"], 6, "centre"), align(["ab"], 2, "right")],
            [" ab", "  ab", "ab"],
        )

    def test_right_paragraphs(self):
        self.assertEqual(fill("aa bb cc\n\nd", 5, "right"), "aa bb\n   cc\n\n    d")

    def test_justified_paragraphs(self):
        self.assertEqual(fill("aa b ccc dd e f\n\ng h", 8, "justify"), "aa b ccc\ndd e f\n\ng h")
        self.assertEqual(fill("aa b cc ddd ee", 8, "justify"), "aa  b cc\nddd ee")

    def test_indents_of_different_length(self):
        self.assertEqual(fill("aa bb cc", 7, first="1. ", rest=" "), "1. aa\n bb\n cc")

    def test_shorten_marks(self):
        self.assertEqual(
            [shorten("a b c d", 5, mark="~"), shorten("a b c d", 7), shorten("  a   b ", 3)],
            ["a b ~", "a b c d", "a b"],
        )

    def test_ragged_tables(self):
        self.assertEqual(table([["a"], ["b", "2%", "z"], ["ccc", "10%"]]), "a\nb     2%  z\nccc  10%")
        self.assertEqual(widths([["a"], ["b", "22", "z"]]), [1, 2, 1])
        self.assertEqual([is_number("."), is_number("5%%"), is_number("%5")], [False, True, False])

    def test_totals_of_numbers_only(self):
        self.assertEqual(totals([[1, 2.5], [3]]), [[1, 2.5], [3], [4, 2.5]])
        self.assertEqual(totals([["x", "y"]], label="sum"), [["x", "y"], ["sum", ""]])
