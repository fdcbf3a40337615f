"""Values and filters."""

import unittest

from pages.values import Missing, apply, escape, lookup, show


class ValuesTest(unittest.TestCase):
    def test_lookup(self):
        scope = {"a": {"b": [10, {"c": 5}]}}
        self.assertEqual([lookup("a.b.0", scope), lookup("a.b.1.c", scope)], [10, 5])

    def test_missing(self):
        with self.assertRaises(Missing):
            lookup("a.c", {"a": {"b": 1}})
        with self.assertRaises(Missing):
            lookup("a.2", {"a": [1, 2]})

    def test_escape(self):
        self.assertEqual(escape('<a href="x">&</a>'), "&lt;a href=&quot;x&quot;&gt;&amp;&lt;/a&gt;")

    def test_show(self):
        self.assertEqual(
            [show(v) for v in (None, True, False, 0, [1, None, "x"])], ["", "yes", "no", "0", "1, , x"]
        )

    def test_words(self):
        self.assertEqual([apply("upper", "ab c"), apply("title", "ab cD")], ["AB C", "Ab CD"])

    def test_cut(self):
        self.assertEqual([apply("cut:3", "abc"), apply("cut:3", "abcd")], ["abc", "ab~"])

    def test_default(self):
        self.assertEqual([apply("default:x", v) for v in (None, "", 0, "y")], ["x", "x", 0, "y"])

    def test_lists(self):
        self.assertEqual(
            [apply("count", [1, 2]), apply("join", [1, 2]), apply("join:-", [1, 2])], [2, "1, 2", "1-2"]
        )

    def test_unknown(self):
        with self.assertRaises(KeyError):
            apply("lower", "A")
