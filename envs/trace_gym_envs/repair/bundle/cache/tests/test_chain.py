"""The linked list."""

import unittest

from cachebox.chain import Chain


def chain(*keys):
    made = Chain()
    for key in keys:
        made.push(key)
    return made


class ChainTest(unittest.TestCase):
    def test_keys_are_in_order(self):
        self.assertEqual(chain("a", "b", "c").keys(), ["a", "b", "c"])

    def test_pushing_again_makes_newest(self):
        self.assertEqual(chain("a", "b", "c", "a").keys(), ["b", "c", "a"])

    def test_drop_in_the_middle(self):
        keys = chain("a", "b", "c")
        keys.drop("b")
        self.assertEqual((keys.keys(), len(keys)), (["a", "c"], 2))

    def test_drop_at_the_ends(self):
        keys = chain("a", "b", "c")
        keys.drop("a")
        keys.drop("c")
        self.assertEqual((keys.keys(), keys.oldest()), (["b"], "b"))

    def test_drop_the_last_one(self):
        keys = chain("a")
        keys.drop("a")
        keys.push("b")
        self.assertEqual((keys.keys(), keys.oldest()), (["b"], "b"))

    def test_a_missing_key(self):
        with self.assertRaises(KeyError):
            chain("a").drop("b")

    def test_contains(self):
        self.assertEqual(["a" in chain("a"), "b" in chain("a")], [True, False])
