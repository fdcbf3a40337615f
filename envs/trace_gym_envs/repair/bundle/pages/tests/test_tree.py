"""Trees."""

import unittest

from pages.scan import TemplateError
from pages.tree import parse


class TreeTest(unittest.TestCase):
    def test_values_and_filters(self):
        self.assertEqual(parse("{{ a.b | upper|cut:3 }}"), [("value", "a.b", ["upper", "cut:3"], 1)])

    def test_if(self):
        self.assertEqual(parse("{% if a %}b{% end %}"), [("if", False, "a", [("text", "b")], [], 1)])

    def test_else(self):
        self.assertEqual(
            parse("{% if not a %}b{% else %}c{% end %}"),
            [("if", True, "a", [("text", "b")], [("text", "c")], 1)],
        )

    def test_for(self):
        self.assertEqual(
            parse("{% for x in xs %}{{ x }}{% end %}"), [("for", "x", "xs", [("value", "x", [], 1)], 1)]
        )

    def test_missing_ends(self):
        with self.assertRaises(TemplateError):
            parse("{% if a %}b")
        with self.assertRaises(TemplateError):
            parse("{% for x in xs %}b{% else %}c{% end %}")

    def test_an_end_too_many(self):
        with self.assertRaises(TemplateError):
            parse("a{% end %}")

    def test_nonsense(self):
        with self.assertRaises(TemplateError):
            parse("{% while a %}{% end %}")
        with self.assertRaises(TemplateError):
            parse("{{ }}")
        with self.assertRaises(TemplateError):
            parse("{% if a b %}{% end %}")
