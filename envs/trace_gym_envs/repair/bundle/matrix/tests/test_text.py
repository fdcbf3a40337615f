"""Text."""

import unittest

from matrix.text import BadText, read, write


class TextTest(unittest.TestCase):
    def test_read(self):
        self.assertEqual(read("1 2  # first\n\n3 1/2\n").numbers(), [[1, 2], [3, "1/2"]])

    def test_bad_text(self):
        with self.assertRaises(BadText):
            read("1 x")
        with self.assertRaises(BadText):
            read("1/0")
        with self.assertRaises(BadText):
            read("# nothing")

    def test_write(self):
        self.assertEqual(write(read("1 -20\n300 4")), "  1 -20\n300   4")
