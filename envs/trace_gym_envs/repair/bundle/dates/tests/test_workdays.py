"""Working days."""

import unittest

from dates.workdays import Workdays

WORK = Workdays([(2024, 5, 1), (2024, 5, 9)])


class WorkdaysTest(unittest.TestCase):
    def test_is_workday(self):
        days = [(2024, 5, 3), (2024, 5, 4), (2024, 5, 5), (2024, 5, 6), (2024, 5, 9)]
        self.assertEqual([WORK.is_workday(day) for day in days], [True, False, False, True, False])

    def test_count(self):
        self.assertEqual(WORK.count((2024, 4, 29), (2024, 5, 10)), 8)
        self.assertEqual(WORK.count((2024, 5, 3), (2024, 5, 3)), 1)
        self.assertEqual(WORK.count((2024, 5, 3), (2024, 5, 2)), 0)

    def test_step(self):
        self.assertEqual(
            [WORK.step((2024, 4, 30), n) for n in (1, 2, 7)], [(2024, 5, 2), (2024, 5, 3), (2024, 5, 13)]
        )

    def test_step_back(self):
        self.assertEqual(WORK.step((2024, 5, 6), -3), (2024, 4, 30))

    def test_no_step(self):
        self.assertEqual(
            [WORK.step((2024, 5, 4), 0), WORK.step((2024, 5, 7), 0)], [(2024, 5, 6), (2024, 5, 7)]
        )

    def test_due(self):
        self.assertEqual(WORK.due((2024, 5, 2), 7), (2024, 5, 10))
