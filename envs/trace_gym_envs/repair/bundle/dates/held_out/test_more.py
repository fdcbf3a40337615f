"""Cases that are not shown."""

import unittest

from dates.calendar import BadDate, check, date_of, days_in_month, is_leap, number, parse, weekday, write
from dates.recur import merged, next_after, occurrences
from dates.shift import add_days, add_months, age, days_between, iso_week, month_end, quarter
from dates.workdays import Workdays


class MoreTest(unittest.TestCase):
    def test_numbers_both_ways(self):
        self.assertEqual(
            [date_of(number(d)) == d for d in ((1999, 12, 31), (2000, 2, 29), (2000, 12, 31), (2100, 3, 1))],
            [True, True, True, True],
        )
        self.assertEqual(number((2024, 12, 31)) - number((2023, 12, 31)), 366)

    def test_every_month(self):
        self.assertEqual(
            [days_in_month(2100, m) for m in range(1, 13)], [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        )
        with self.assertRaises(BadDate):
            days_in_month(2024, 0)

    def test_dates_that_do_not_exist(self):
        with self.assertRaises(BadDate):
            check((0, 1, 1))
        with self.assertRaises(BadDate):
            parse("2024-04-31")
        with self.assertRaises(BadDate):
            parse("2024-a-01")
        self.assertEqual((write((7, 11, 3)), is_leap(2400), is_leap(2200)), ("0007-11-03", True, False))

    def test_a_week_of_weekdays(self):
        self.assertEqual([weekday(add_days((2023, 12, 30), n)) for n in range(8)], [5, 6, 0, 1, 2, 3, 4, 5])

    def test_months_over_years(self):
        self.assertEqual(
            [add_months((2024, 2, 29), n) for n in (12, -12, 10, 48, -2)],
            [(2025, 2, 28), (2023, 2, 28), (2024, 12, 29), (2028, 2, 29), (2023, 12, 29)],
        )

    def test_ages(self):
        self.assertEqual(
            [age((2004, 2, 29), d) for d in ((2024, 2, 28), (2023, 2, 28), (2023, 3, 1), (2024, 2, 29))],
            [19, 18, 19, 20],
        )

    def test_weeks_around_new_year(self):
        self.assertEqual(
            [
                iso_week(d)
                for d in ((2021, 1, 3), (2021, 1, 4), (2019, 12, 29), (2019, 12, 30), (2024, 6, 16))
            ],
            [(2020, 53), (2021, 1), (2019, 52), (2020, 1), (2024, 24)],
        )
        self.assertEqual([quarter((2024, m, 9)) for m in range(1, 13)], [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])

    def test_work_around_weekends(self):
        work = Workdays([(2024, 12, 25), (2024, 12, 26), (2025, 1, 1)])
        self.assertEqual(
            (
                work.count((2024, 12, 23), (2025, 1, 5)),
                work.step((2024, 12, 24), 1),
                work.step((2025, 1, 2), -2),
            ),
            (7, (2024, 12, 27), (2024, 12, 30)),
        )
        self.assertEqual(
            (work.due((2024, 12, 20), 5), Workdays().count((2024, 12, 23), (2024, 12, 29))),
            ((2024, 12, 27), 5),
        )

    def test_series(self):
        self.assertEqual(
            occurrences((2023, 11, 30), "month", every=3, count=3),
            [(2023, 11, 30), (2024, 2, 29), (2024, 5, 30)],
        )
        self.assertEqual(
            occurrences((2024, 1, 1), "day", count=5, until=(2024, 1, 3)),
            [(2024, 1, 1), (2024, 1, 2), (2024, 1, 3)],
        )
        self.assertEqual(occurrences((2024, 1, 2), "day", until=(2024, 1, 1)), [])
        self.assertEqual(next_after((2024, 1, 31), "month", (2024, 2, 28), every=1), (2024, 2, 29))
        self.assertEqual(next_after((2024, 1, 1), "day", (2024, 1, 5), every=3), (2024, 1, 7))
        self.assertEqual(merged(), [])

    def test_ends(self):
        self.assertEqual(
            (month_end((2023, 2, 1)), month_end((2023, 12, 31)), days_between((2000, 1, 1), (2000, 1, 1))),
            ((2023, 2, 28), (2023, 12, 31), 0),
        )
