"""Searches."""

import unittest

from graphs.graph import Graph
from graphs.search import NoPath, cheapest, distances, farthest, has_cycle, path


def graph(*links):
    made = Graph()
    for link in links:
        made.link(*link)
    return made


ROADS = (("a", "b", 1), ("b", "c", 1), ("a", "c", 5), ("c", "d", 1), ("b", "d", 4), ("x", "a", 1))


class SearchTest(unittest.TestCase):
    def test_distances(self):
        self.assertEqual(distances(graph(*ROADS), "a"), {"a": 0, "b": 1, "c": 1, "d": 2})

    def test_limit(self):
        self.assertEqual(distances(graph(*ROADS), "x", limit=2), {"x": 0, "a": 1, "b": 2, "c": 2})
        self.assertEqual(distances(graph(*ROADS), "x", limit=0), {"x": 0})

    def test_cheapest(self):
        costs, before = cheapest(graph(*ROADS), "a")
        self.assertEqual(costs, {"a": 0, "b": 1, "c": 2, "d": 3})
        self.assertEqual(before, {"a": None, "b": "a", "c": "b", "d": "c"})

    def test_path(self):
        self.assertEqual(path(graph(*ROADS), "a", "d"), (3, ["a", "b", "c", "d"]))
        self.assertEqual(path(graph(*ROADS), "a", "a"), (0, ["a"]))

    def test_no_path(self):
        with self.assertRaises(NoPath):
            path(graph(*ROADS), "a", "x")

    def test_farthest(self):
        self.assertEqual(farthest(graph(*ROADS), "a"), "d")
        self.assertEqual(farthest(graph(("a", "c"), ("a", "b")), "a"), "b")

    def test_cycles(self):
        self.assertEqual([has_cycle(graph(*ROADS)), has_cycle(graph(*ROADS, ("d", "x")))], [False, True])
        self.assertEqual(has_cycle(graph(("a", "a"))), True)
