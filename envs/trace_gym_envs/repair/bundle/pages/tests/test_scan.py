"""Pieces."""

import unittest

from pages.scan import TemplateError, scan


class ScanTest(unittest.TestCase):
    def test_pieces(self):
        self.assertEqual(scan("a {{ b }} c"), [("text", "a ", 1), ("value", "b", 1), ("text", " c", 1)])

    def test_comments_are_left_out(self):
        self.assertEqual(scan("a{# b #}c"), [("text", "a", 1), ("text", "c", 1)])

    def test_lines(self):
        self.assertEqual(scan("a\nb\n{{ c }}"), [("text", "a\nb\n", 1), ("value", "c", 3)])

    def test_a_block_on_its_own_leaves_no_line(self):
        self.assertEqual(
            scan("{% if a %}\nb\n{% end %}\n"),
            [("block", "if a", 1), ("text", "b\n", 2), ("block", "end", 3)],
        )

    def test_a_block_within_a_line_leaves_all(self):
        self.assertEqual(scan("x{% end %}\ny"), [("text", "x", 1), ("block", "end", 1), ("text", "\ny", 1)])

    def test_not_closed(self):
        with self.assertRaises(TemplateError):
            scan("a {{ b }")

    def test_nothing(self):
        self.assertEqual(scan(""), [])
