"""Numbers and words."""

import unittest

from cachebox.report import coldest, hit_rate, hottest, line
from cachebox.store import Cache


def filled(capacity, keys):
    cache = Cache(capacity)
    for key in keys:
        cache.put(key, key)
    return cache


class ReportTest(unittest.TestCase):
    def test_hit_rate(self):
        cache = filled(2, "a")
        self.assertEqual(hit_rate(cache), 0)
        cache.get("a")
        cache.get("a")
        cache.get("b")
        self.assertEqual(hit_rate(cache), 66)

    def test_line(self):
        self.assertEqual(line(filled(3, "a")), "1 of 3 (33% full), 0% hits")

    def test_line_of_a_full_cache(self):
        self.assertEqual(line(filled(2, "abc")), "2 of 2 (full), 0% hits, 1 evicted")

    def test_coldest(self):
        self.assertEqual(coldest(filled(9, "abcde")), ["a", "b", "c"])
        self.assertEqual(coldest(filled(9, "abcde"), count=1), ["a"])

    def test_hottest(self):
        self.assertEqual(hottest(filled(9, "abcde"), 2), ["e", "d"])
