"""The cache."""

import unittest

from cachebox.store import Cache


class CacheTest(unittest.TestCase):
    def test_get_what_was_put(self):
        cache = Cache(2)
        cache.put("a", 1)
        self.assertEqual((cache.get("a"), cache.get("b"), cache.get("b", 9)), (1, None, 9))

    def test_the_least_recently_used_goes(self):
        cache = Cache(2)
        cache.put("a", 1)
        cache.put("b", 2)
        cache.get("a")
        cache.put("c", 3)
        self.assertEqual((cache.keys(), cache.evicted), (["a", "c"], 1))

    def test_putting_again_evicts_nothing(self):
        cache = Cache(2)
        cache.put("a", 1)
        cache.put("b", 2)
        cache.put("a", 5)
        self.assertEqual((cache.keys(), cache.get("a"), cache.evicted), (["b", "a"], 5, 0))

    def test_peek_moves_nothing(self):
        cache = Cache(2)
        cache.put("a", 1)
        cache.put("b", 2)
        self.assertEqual((cache.peek("a"), cache.peek("z", 0)), (1, 0))
        self.assertEqual((cache.keys(), cache.hits, cache.misses), (["a", "b"], 0, 0))

    def test_drop(self):
        cache = Cache(2)
        cache.put("a", 1)
        self.assertEqual((cache.drop("a"), cache.drop("a"), len(cache)), (True, False, 0))

    def test_expiry(self):
        cache = Cache(3, lifetime=2)
        cache.put("a", 1)
        self.assertEqual((cache.tick(), cache.peek("a")), (0, 1))
        self.assertEqual((cache.tick(), cache.peek("a")), (1, None))

    def test_a_lifetime_of_its_own(self):
        cache = Cache(3, lifetime=1)
        cache.put("a", 1, lifetime=5)
        cache.put("b", 2)
        self.assertEqual((cache.tick(4), cache.keys()), (1, ["a"]))

    def test_no_lifetime_lasts(self):
        cache = Cache(1)
        cache.put("a", 1)
        self.assertEqual((cache.tick(1000), cache.get("a")), (0, 1))

    def test_what_cannot_be(self):
        with self.assertRaises(ValueError):
            Cache(0)
        with self.assertRaises(ValueError):
            Cache(1).tick(-1)
