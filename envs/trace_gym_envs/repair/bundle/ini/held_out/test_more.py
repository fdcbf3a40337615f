"""Cases that are not shown."""

import unittest

from inidoc.document import Document
from inidoc.lines import BadLine, classify, unquote
from inidoc.values import BadValue, boolean, expand, number, words


class MoreTest(unittest.TestCase):
    def test_dividers(self):
        self.assertEqual(classify("a:b=c", 1), ("pair", "a", "b=c"))
        self.assertEqual(classify("a=b:c", 1), ("pair", "a", "b:c"))
        self.assertEqual(classify("[a]  ", 1), ("section", "a"))
        self.assertEqual(classify("#", 1), ("comment", ""))

    def test_the_line_is_named(self):
        message = ""
        try:
            Document.read("[a]\nx = 1\nbroken\n")
        except BadLine as error:
            message = f"{error.number}: {error}"
        self.assertEqual(message, "3: line 3: expected key = value")

    def test_a_section_ends_a_pair(self):
        with self.assertRaises(BadLine):
            Document.read("x = 1\n[a]\n more\n")

    def test_comments_do_not_end_a_pair(self):
        self.assertEqual(Document.read("x = 1\n# no\n  2\n  3\n").get("", "x"), "1\n2\n3")

    def test_quotes(self):
        self.assertEqual(
            [unquote('""'), unquote('"a'), unquote('x #"y"'), unquote("x  # y # z")], ["", '"a', "x", "x"]
        )

    def test_write_quotes_what_needs_it(self):
        document = Document()
        document.put("", "a", " b")
        document.put("s", "c", "d # e")
        document.put("s", "m", "1\n2")
        self.assertEqual(document.write(), 'a = " b"\n\n[s]\nc = "d # e"\nm = 1\n    2\n')

    def test_own_value_before_default(self):
        document = Document.read("[defaults]\nx = 1\n[a]\nx =\n")
        self.assertEqual((document.get("a", "x"), document.get("b", "x", "9")), ("", "1"))

    def test_merging_keeps_what_is_only_here(self):
        document = Document.read("[defaults]\nq = 1\n[a]\nx = 1\n")
        document.merge(Document.read("[a]\n[c]\n"))
        self.assertEqual((document.sections(), document.get("a", "x")), (["defaults", "a", "c"], "1"))

    def test_expansion_in_the_middle(self):
        document = Document.read("[a]\nn = 1\nx = <${n}${n}>$${n}\ny = ${n\n")
        self.assertEqual(expand(document, "a", "x"), "<11>${n}")
        with self.assertRaises(BadValue):
            expand(document, "a", "y")

    def test_a_long_chain_is_no_circle(self):
        document = Document.read("[a]\na = 1\nb = ${a}\nc = ${b}\nd = ${c}\ne = ${d}\nf = ${e}\n")
        self.assertEqual(expand(document, "a", "f"), "1")

    def test_odd_values(self):
        self.assertEqual(
            [boolean(" TRUE"), boolean("False"), number("-0x10"), words(" , ")], [True, False, -16, []]
        )
        with self.assertRaises(BadValue):
            number("5", low=6, high=9)
