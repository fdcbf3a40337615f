"""Series."""

import unittest

from dates.calendar import BadDate
from dates.recur import merged, next_after, occurrences


class RecurTest(unittest.TestCase):
    def test_days(self):
        self.assertEqual(
            occurrences((2024, 2, 27), "day", every=2, count=3), [(2024, 2, 27), (2024, 2, 29), (2024, 3, 2)]
        )

    def test_weeks_until(self):
        self.assertEqual(
            occurrences((2024, 1, 1), "week", until=(2024, 1, 15)),
            [(2024, 1, 1), (2024, 1, 8), (2024, 1, 15)],
        )

    def test_months_remember_their_start(self):
        self.assertEqual(
            occurrences((2024, 1, 31), "month", count=3), [(2024, 1, 31), (2024, 2, 29), (2024, 3, 31)]
        )

    def test_what_cannot_repeat(self):
        with self.assertRaises(BadDate):
            occurrences((2024, 1, 1), "year", count=1)
        with self.assertRaises(BadDate):
            occurrences((2024, 1, 1), "day", every=0, count=1)
        with self.assertRaises(BadDate):
            occurrences((2024, 1, 1), "day")

    def test_next_after(self):
        self.assertEqual(next_after((2024, 1, 1), "week", (2024, 1, 15)), (2024, 1, 22))
        self.assertEqual(next_after((2024, 5, 1), "week", (2024, 1, 15)), (2024, 5, 1))

    def test_merged(self):
        self.assertEqual(merged([(2024, 1, 2), (2024, 1, 1)], [(2024, 1, 2)]), [(2024, 1, 1), (2024, 1, 2)])
