"""Shifts."""

import unittest

from dates.shift import add_days, add_months, age, days_between, iso_week, month_end, quarter


class ShiftTest(unittest.TestCase):
    def test_add_days(self):
        self.assertEqual(
            [add_days((2024, 2, 28), n) for n in (1, 2, -59)], [(2024, 2, 29), (2024, 3, 1), (2023, 12, 31)]
        )

    def test_add_months(self):
        self.assertEqual(
            [add_months((2023, 1, 31), n) for n in (1, 2, 11, 12, -2)],
            [(2023, 2, 28), (2023, 3, 31), (2023, 12, 31), (2024, 1, 31), (2022, 11, 30)],
        )

    def test_days_between(self):
        self.assertEqual(
            [days_between((2024, 1, 1), (2025, 1, 1)), days_between((2024, 3, 1), (2024, 2, 28))], [366, -2]
        )

    def test_month_end(self):
        self.assertEqual(month_end((2024, 2, 3)), (2024, 2, 29))

    def test_age(self):
        self.assertEqual(
            [age((2000, 6, 15), d) for d in ((2024, 6, 14), (2024, 6, 15), (2024, 7, 1))], [23, 24, 24]
        )

    def test_iso_week(self):
        self.assertEqual(
            [iso_week(d) for d in ((2024, 1, 1), (2023, 1, 1), (2020, 12, 31), (2024, 12, 30))],
            [(2024, 1), (2022, 52), (2020, 53), (2025, 1)],
        )

    def test_quarter(self):
        self.assertEqual([quarter((2024, m, 1)) for m in (1, 3, 4, 12)], [1, 1, 2, 4])
