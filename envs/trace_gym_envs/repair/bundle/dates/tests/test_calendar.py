"""The calendar."""

import unittest

from dates.calendar import BadDate, check, date_of, days_in_month, is_leap, number, parse, weekday, write


class CalendarTest(unittest.TestCase):
    def test_leap_years(self):
        self.assertEqual([is_leap(y) for y in (2023, 2024, 1900, 2000)], [False, True, False, True])

    def test_days_in_month(self):
        self.assertEqual([days_in_month(2024, m) for m in (1, 2, 4, 12)], [31, 29, 30, 31])
        with self.assertRaises(BadDate):
            days_in_month(2024, 13)

    def test_number(self):
        self.assertEqual([number((1, 1, 1)), number((2000, 1, 1)), number((2024, 3, 1))], [1, 730120, 738946])

    def test_date_of(self):
        self.assertEqual(
            [date_of(n) for n in (1, 366, 730120, 738945)],
            [(1, 1, 1), (2, 1, 1), (2000, 1, 1), (2024, 2, 29)],
        )
        with self.assertRaises(BadDate):
            date_of(0)

    def test_weekday(self):
        self.assertEqual([weekday((2024, 1, 1)), weekday((2000, 1, 1))], [0, 5])

    def test_check(self):
        self.assertEqual(check((2024, 2, 29)), (2024, 2, 29))
        with self.assertRaises(BadDate):
            check((2023, 2, 29))
        with self.assertRaises(BadDate):
            check((2023, 1, 0))

    def test_text(self):
        self.assertEqual(parse(" 2024-2-09"), (2024, 2, 9))
        self.assertEqual(write((2024, 2, 9)), "2024-02-09")
        with self.assertRaises(BadDate):
            parse("2024-02")
