"""Tables."""

import unittest

from layout.table import is_number, table, totals, widths


class TableTest(unittest.TestCase):
    def test_is_number(self):
        self.assertEqual(
            [is_number(c) for c in ("12", "-1.5", "+3%", "1.2.3", "x1", "", "-")],
            [True, True, True, False, False, False, False],
        )

    def test_widths(self):
        self.assertEqual(widths([["a", "bbb"], ["cc"]]), [2, 3])
        self.assertEqual(widths([]), [])

    def test_numbers_stand_right(self):
        self.assertEqual(table([["apples", 5], ["figs", 120]]), "apples    5\nfigs    120")

    def test_header(self):
        self.assertEqual(table([["name", "n"], ["a", 10]], header=True), "name  n\n----  --\na     10")

    def test_limit(self):
        self.assertEqual(table([["a long name", "x"]], limit=8), "a ...  x")

    def test_totals(self):
        self.assertEqual(
            totals([["a", 1, "x"], ["b", 2, "y"]]), [["a", 1, "x"], ["b", 2, "y"], ["total", 3, ""]]
        )
