"""Running."""

import asyncio
import unittest

from jobs.plan import Plan
from jobs.run import run, run_levels


class Worker:
    """Work that fails for some jobs a number of times."""

    def __init__(self, **failures):
        self.failures = failures
        self.calls = []
        self.busy = 0
        self.most = 0

    async def __call__(self, name):
        self.calls.append(name)
        self.busy += 1
        self.most = max(self.most, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        if self.failures.get(name, 0) > 0:
            self.failures[name] -= 1
            raise RuntimeError(f"{name} broke")


def plan(**needs):
    made = Plan()
    for name, wanted in needs.items():
        made.add(name, needs=wanted)
    return made


class RunTest(unittest.TestCase):
    def test_all_is_done(self):
        worker = Worker()
        result = asyncio.run(run(plan(a="", b="a", c="b"), worker))
        self.assertEqual((result.done, result.failed, result.skipped), (["a", "b", "c"], {}, []))
        self.assertEqual(worker.calls, ["a", "b", "c"])

    def test_tried_again(self):
        worker = Worker(a=2)
        result = asyncio.run(run(plan(a=""), worker, tries=3))
        self.assertEqual((result.done, worker.calls), (["a"], ["a", "a", "a"]))

    def test_failed_for_good(self):
        worker = Worker(a=2)
        result = asyncio.run(run(plan(a="", b=""), worker, tries=2))
        self.assertEqual((result.done, result.failed), (["b"], {"a": "a broke"}))

    def test_followers_are_skipped(self):
        result = asyncio.run(run(plan(a="", b="a", c="b", d=""), Worker(a=1)))
        self.assertEqual((result.done, result.skipped), (["d"], ["b", "c"]))

    def test_text(self):
        result = asyncio.run(run(plan(a="", b="a", d=""), Worker(a=1)))
        self.assertEqual(result.text(), "1 done; failed: a; skipped: b")
        self.assertEqual(asyncio.run(run(plan(a=""), Worker())).text(), "1 done")

    def test_no_tries(self):
        with self.assertRaises(ValueError):
            asyncio.run(run(plan(a=""), Worker(), tries=0))

    def test_a_round_runs_at_the_same_time(self):
        worker = Worker()
        result = asyncio.run(run_levels(plan(a="", b="", c="", d="a"), worker, at_once=2))
        self.assertEqual((sorted(result.done), worker.most, worker.calls[-1]), (["a", "b", "c", "d"], 2, "d"))
