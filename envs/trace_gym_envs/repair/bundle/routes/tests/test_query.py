"""Query strings."""

import unittest

from routes.query import divide, first, parse, quote, unquote, write


class QueryTest(unittest.TestCase):
    def test_quote(self):
        self.assertEqual(quote("a b/ü~"), "a%20b%2F%C3%BC~")

    def test_unquote(self):
        self.assertEqual(
            [unquote("a%20b+c"), unquote("%c3%BC"), unquote("100%"), unquote("%zz")],
            ["a b c", "ü", "100%", "%zz"],
        )

    def test_parse(self):
        self.assertEqual(
            parse("?a=1&b=x%20y&a=2&c&&d="), {"a": ["1", "2"], "b": ["x y"], "c": [""], "d": [""]}
        )

    def test_write(self):
        self.assertEqual(write({"b": [1, 2], "a": "x y", "c": None, "d": []}), "a=x%20y&b=1&b=2")

    def test_first(self):
        self.assertEqual(
            [first({"a": ["1", "2"]}, "a"), first({}, "a"), first({"a": []}, "a", "z")], ["1", None, "z"]
        )

    def test_divide(self):
        self.assertEqual(divide("/a?b=c#d"), ("/a", "b=c", "d"))
        self.assertEqual(divide("/a#b?c"), ("/a", "", "b?c"))
