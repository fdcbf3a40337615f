"""Single lines."""

import unittest

from inidoc.lines import BadLine, classify, unquote


class LinesTest(unittest.TestCase):
    def test_blank_and_comment(self):
        self.assertEqual(classify("   ", 1), ("blank",))
        self.assertEqual(classify("# hello ", 1), ("comment", "hello"))
        self.assertEqual(classify("  ; hello", 1), ("comment", "hello"))

    def test_section(self):
        self.assertEqual(classify("[ server ]", 1), ("section", "server"))

    def test_bad_section(self):
        with self.assertRaises(BadLine):
            classify("[server", 1)
        with self.assertRaises(BadLine):
            classify("[]", 1)

    def test_pair(self):
        self.assertEqual(classify("Port = 80", 1), ("pair", "port", "80"))
        self.assertEqual(classify("url: http://a=b", 1), ("pair", "url", "http://a=b"))

    def test_empty_value(self):
        self.assertEqual(classify("name =", 1), ("pair", "name", ""))

    def test_bad_pair(self):
        with self.assertRaises(BadLine):
            classify("nothing", 3)
        with self.assertRaises(BadLine):
            classify("= 5", 3)

    def test_continuation(self):
        self.assertEqual(classify("\tmore text", 1), ("more", "more text"))

    def test_quotes_keep_blanks(self):
        self.assertEqual(unquote('"  a # b "'), "  a # b ")
        self.assertEqual(unquote('"'), '"')

    def test_comment_after_a_value(self):
        self.assertEqual(unquote("80 # the port"), "80")
        self.assertEqual(unquote("a#b"), "a#b")
