"""Structure."""

import unittest

from graphs.graph import Graph
from graphs.structure import components, longest, order, reachable, roots


def graph(*links):
    made = Graph()
    for link in links:
        made.link(*link)
    return made


class StructureTest(unittest.TestCase):
    def test_order(self):
        self.assertEqual(order(graph(("c", "a"), ("b", "a"), ("a", "d"))), ["b", "c", "a", "d"])

    def test_order_of_a_cycle(self):
        with self.assertRaises(ValueError):
            order(graph(("a", "b"), ("b", "a")))

    def test_reachable(self):
        self.assertEqual(reachable(graph(("b", "a"), ("a", "c"), ("x", "b")), "b"), ["a", "b", "c"])

    def test_components(self):
        made = graph(("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c"), ("e", "a"))
        self.assertEqual(components(made), [["a", "b"], ["c", "d"], ["e"]])

    def test_roots(self):
        self.assertEqual(roots(graph(("b", "c"), ("a", "c"), ("c", "d"))), ["a", "b"])

    def test_longest(self):
        self.assertEqual(longest(graph(("a", "b", 2), ("b", "c", 2), ("a", "c", 3))), 4)
        self.assertEqual(longest(Graph()), 0)
