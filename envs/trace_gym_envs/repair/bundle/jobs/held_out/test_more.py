"""Cases that are not shown."""

import asyncio
import unittest

from jobs.heap import Heap
from jobs.plan import Circle, Plan
from jobs.run import run, run_levels


class Log:
    def __init__(self, *bad):
        self.bad = list(bad)
        self.calls = []

    async def __call__(self, name):
        self.calls.append(name)
        await asyncio.sleep(0)
        if name in self.bad:
            self.bad.remove(name)
            raise ValueError(f"no {name}")


class MoreTest(unittest.TestCase):
    def test_pushing_between_pops(self):
        heap = Heap()
        heap.push(5, "e")
        heap.push(2, "b")
        first = heap.pop()
        heap.push(1, "a")
        heap.push(5, "f")
        heap.push(3, "c")
        self.assertEqual((first, [heap.pop() for _ in range(4)], len(heap)), ("b", ["a", "c", "e", "f"], 0))

    def test_equal_ranks_in_disorder(self):
        heap = Heap()
        for number in range(20):
            heap.push(number % 3, number)
        self.assertEqual(
            [heap.pop() for _ in range(20)],
            [0, 3, 6, 9, 12, 15, 18, 1, 4, 7, 10, 13, 16, 19, 2, 5, 8, 11, 14, 17],
        )

    def test_a_wide_plan(self):
        plan = Plan()
        plan.add("z", needs=("a", "c"), cost=1)
        plan.add("a", cost=3)
        plan.add("c", priority=1, needs=("b",), cost=1)
        plan.add("b", cost=4)
        plan.add("q", priority=5, cost=2)
        self.assertEqual(
            (plan.order(), plan.levels(), plan.shortest()),
            (["q", "a", "b", "c", "z"], [["a", "b", "q"], ["c"], ["z"]], 6),
        )
        self.assertEqual((plan.names(), plan.needs("z")), (["z", "a", "c", "b", "q"], ("a", "c")))

    def test_the_circle_is_named(self):
        plan = Plan()
        plan.add("d")
        plan.add("b", needs=("c", "d"))
        plan.add("c", needs=("b",))
        plan.add("a", needs=("b",))
        message = ""
        try:
            plan.order()
        except Circle as error:
            message = str(error)
        self.assertEqual(message, "a, b, c")

    def test_retries_of_followers(self):
        plan = Plan()
        plan.add("b", needs=("a",))
        plan.add("a")
        log = Log("a", "b", "b")
        result = asyncio.run(run(plan, log, tries=2))
        self.assertEqual(
            (log.calls, result.done, result.failed), (["a", "a", "b", "b"], ["a"], {"b": "no b"})
        )

    def test_skipping_spreads_in_rounds(self):
        plan = Plan()
        for name, needs in (("a", ()), ("b", ("a",)), ("c", ("b",)), ("x", ())):
            plan.add(name, needs=needs)
        log = Log("a")
        result = asyncio.run(run_levels(plan, log))
        self.assertEqual((result.text(), log.calls), ("1 done; failed: a; skipped: b, c", ["a", "x"]))

    def test_groups_of_a_round(self):
        plan = Plan()
        for name in "abcde":
            plan.add(name)
        log = Log()
        result = asyncio.run(run_levels(plan, log, tries=1, at_once=2))
        self.assertEqual((result.done, log.calls), (["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "e"]))

    def test_defaults(self):
        plan = Plan()
        plan.add("a")
        plan.add("b")
        self.assertEqual((plan.needs("a"), plan.shortest()), ((), 1))
        log = Log("a")
        self.assertEqual(asyncio.run(run(plan, log)).failed, {"a": "no a"})
        self.assertEqual(log.calls, ["a", "b"])
