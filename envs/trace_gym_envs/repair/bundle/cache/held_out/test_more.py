"""Cases that are not shown."""

import unittest

from cachebox.chain import Chain
from cachebox.report import fill, hit_rate, hottest, line
from cachebox.store import Cache


class MoreTest(unittest.TestCase):
    def test_a_long_history(self):
        chain = Chain()
        for key in "abcabdda":
            chain.push(key)
        chain.drop("d")
        chain.push("e")
        self.assertEqual((chain.keys(), chain.oldest(), len(chain)), (["c", "b", "a", "e"], "c", 4))

    def test_an_empty_chain(self):
        self.assertEqual((Chain().keys(), Chain().oldest(), len(Chain())), ([], None, 0))

    def test_eviction_goes_on(self):
        cache = Cache(3)
        for key in range(7):
            cache.put(key, key * key)
        self.assertEqual((cache.keys(), cache.evicted, cache.get(6), cache.get(3)), ([4, 5, 6], 4, 36, None))
        self.assertEqual((cache.hits, cache.misses), (1, 1))

    def test_an_evicted_key_does_not_expire_later(self):
        cache = Cache(1, lifetime=3)
        cache.put("a", 1)
        cache.put("b", 2)
        cache.tick(2)
        cache.put("b", 3)
        self.assertEqual((cache.tick(1), cache.keys()), (0, ["b"]))
        self.assertEqual((cache.tick(2), cache.keys()), (1, []))

    def test_putting_without_lifetime_ends_expiry(self):
        cache = Cache(2)
        cache.put("a", 1, lifetime=1)
        cache.put("a", 2)
        self.assertEqual((cache.tick(5), cache.peek("a")), (0, 2))

    def test_a_lifetime_of_nothing(self):
        cache = Cache(2)
        cache.put("a", 1, lifetime=0)
        self.assertEqual((len(cache), cache.tick(0), len(cache)), (1, 1, 0))

    def test_get_makes_newest(self):
        cache = Cache(3)
        for key in "abc":
            cache.put(key, key)
        cache.get("a")
        cache.peek("b")
        self.assertEqual((cache.keys(), hottest(cache, 1), hit_rate(cache)), (["b", "c", "a"], ["a"], 100))

    def test_words(self):
        cache = Cache(4)
        cache.put(1, 1)
        cache.put(2, 2)
        cache.put(3, 3)
        cache.get(1)
        cache.get(7)
        self.assertEqual((line(cache), fill(cache)), ("3 of 4 (75% full), 50% hits", 75))
