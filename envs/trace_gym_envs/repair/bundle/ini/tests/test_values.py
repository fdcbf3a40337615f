"""Values."""

import unittest

from inidoc.document import Document
from inidoc.values import BadValue, boolean, expand, number, words


class ValuesTest(unittest.TestCase):
    def test_boolean(self):
        self.assertEqual(
            [boolean(w) for w in ("Yes", "on", "1", "NO ", "off", "0")],
            [True, True, True, False, False, False],
        )
        with self.assertRaises(BadValue):
            boolean("maybe")

    def test_number(self):
        self.assertEqual([number(t) for t in ("7", " -3", "1_000", "0x1f")], [7, -3, 1000, 31])
        with self.assertRaises(BadValue):
            number("seven")

    def test_bounds_are_allowed_values(self):
        self.assertEqual([number("1", low=1, high=3), number("3", low=1, high=3)], [1, 3])
        with self.assertRaises(BadValue):
            number("0", low=1)
        with self.assertRaises(BadValue):
            number("4", high=3)

    def test_words(self):
        self.assertEqual(words("a, b,,c\nd"), ["a", "b", "c", "d"])

    def test_expand(self):
        document = Document.read("[a]\nroot = /srv\nlogs = ${root}/logs\n[b]\nall = ${a.logs}/all\n")
        self.assertEqual(expand(document, "b", "all"), "/srv/logs/all")

    def test_dollars(self):
        document = Document.read("[a]\nprice = $$5 and $5\n")
        self.assertEqual(expand(document, "a", "price"), "$5 and $5")

    def test_circles_are_refused(self):
        document = Document.read("[a]\nx = ${y}\ny = ${x}\n")
        with self.assertRaises(BadValue):
            expand(document, "a", "x")

    def test_missing(self):
        with self.assertRaises(KeyError):
            expand(Document.read("[a]\nx = ${y}\n"), "a", "x")
