"""Plans."""

import unittest

from jobs.plan import Circle, Plan


def diamond():
    plan = Plan()
    plan.add("end", priority=9, needs=("left", "right"))
    plan.add("left", needs=("start",), cost=2)
    plan.add("right", priority=1, needs=("start",), cost=5)
    plan.add("start")
    return plan


class PlanTest(unittest.TestCase):
    def test_needs_come_first(self):
        self.assertEqual(diamond().order(), ["start", "right", "left", "end"])

    def test_priority_then_age(self):
        plan = Plan()
        plan.add("a")
        plan.add("b", priority=2)
        plan.add("c", priority=2)
        plan.add("d", priority=-1)
        self.assertEqual(plan.order(), ["b", "c", "a", "d"])

    def test_levels(self):
        self.assertEqual(diamond().levels(), [["start"], ["left", "right"], ["end"]])

    def test_shortest(self):
        self.assertEqual(diamond().shortest(), 7)

    def test_nothing(self):
        self.assertEqual((Plan().order(), Plan().levels(), Plan().shortest()), ([], [], 0))

    def test_circle(self):
        plan = Plan()
        plan.add("a", needs=("b",))
        plan.add("b", needs=("a",))
        plan.add("c")
        with self.assertRaises(Circle):
            plan.order()

    def test_a_need_that_is_not_there(self):
        plan = Plan()
        plan.add("a", needs=("b",))
        with self.assertRaises(KeyError):
            plan.order()

    def test_bad_jobs(self):
        plan = Plan()
        plan.add("a")
        with self.assertRaises(ValueError):
            plan.add("a")
        with self.assertRaises(ValueError):
            plan.add("b", cost=0)

    def test_a_need_named_twice(self):
        plan = Plan()
        plan.add("a", needs=("b", "b"))
        plan.add("b")
        self.assertEqual(plan.order(), ["b", "a"])
