"""Words."""

import unittest

from layout.words import cut, fitting, paragraphs, shorten


class WordsTest(unittest.TestCase):
    def test_paragraphs(self):
        self.assertEqual(paragraphs("a b\nc\n\n\n d\n"), [["a", "b", "c"], ["d"]])
        self.assertEqual(paragraphs(" \n\n"), [])

    def test_cut(self):
        self.assertEqual(cut("abcdefgh", 4), ["abc-", "def-", "gh"])
        self.assertEqual(cut("abcd", 4), ["abcd"])

    def test_no_room_to_cut(self):
        with self.assertRaises(ValueError):
            cut("abc", 1)

    def test_fitting(self):
        self.assertEqual(fitting(["ab", "abcde"], 3), ["ab", "ab-", "cde"])

    def test_shorten(self):
        self.assertEqual(shorten("one two three", 13), "one two three")
        self.assertEqual(shorten("one two three", 12), "one two ...")
        self.assertEqual(shorten("one two three", 10), "one ...")

    def test_shorten_to_nothing(self):
        self.assertEqual(shorten("wonderful", 5), "...")
        self.assertEqual(shorten("wonderful", 2), "..")
