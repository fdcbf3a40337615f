"""Patterns."""

import unittest

from routes.pattern import BadPattern, accepts, convert, parse, split


class PatternTest(unittest.TestCase):
    def test_split(self):
        self.assertEqual([split("/"), split("/a/b/"), split("a//b")], [[], ["a", "b"], ["a", "", "b"]])

    def test_parse(self):
        self.assertEqual(
            parse("/users/<id:int>/<tab>/<rest:path>"),
            [("plain", "users"), ("int", "id"), ("str", "tab"), ("path", "rest")],
        )

    def test_a_slash_comes_first(self):
        with self.assertRaises(BadPattern):
            parse("users")

    def test_names_must_differ(self):
        with self.assertRaises(BadPattern):
            parse("/<a>/<a:int>")

    def test_a_path_comes_last(self):
        with self.assertRaises(BadPattern):
            parse("/<a:path>/b")

    def test_bad_segments(self):
        with self.assertRaises(BadPattern):
            parse("/x<a>")
        with self.assertRaises(BadPattern):
            parse("/<1a>")
        with self.assertRaises(BadPattern):
            parse("/<a:float>")

    def test_accepts(self):
        self.assertEqual(
            [accepts("int", t) for t in ("0", "10", "01", "-1", "x", "")],
            [True, True, False, False, False, False],
        )
        self.assertEqual([accepts("str", t) for t in ("01", "")], [True, False])

    def test_convert(self):
        self.assertEqual([convert("int", "12"), convert("str", "12")], [12, "12"])
