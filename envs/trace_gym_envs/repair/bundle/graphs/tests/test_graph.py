"""Graphs."""

import unittest

from graphs.graph import Graph


def graph(*links):
    made = Graph()
    for link in links:
        made.link(*link)
    return made


class GraphTest(unittest.TestCase):
    def test_links(self):
        self.assertEqual(graph(("b", "a", 2), ("a", "c")).links(), [("a", "c", 1), ("b", "a", 2)])

    def test_nodes(self):
        self.assertEqual(graph(("b", "a"), ("a", "c")).nodes(), ["a", "b", "c"])

    def test_the_second_link_replaces_the_first(self):
        self.assertEqual(graph(("a", "b", 2), ("a", "b", 5)).links(), [("a", "b", 5)])

    def test_both(self):
        self.assertEqual(graph(("a", "b", 2, True)).links(), [("a", "b", 2), ("b", "a", 2)])

    def test_weight(self):
        made = graph(("a", "b", 0))
        self.assertEqual(
            (made.weight("a", "b"), made.weight("b", "a"), made.weight("x", "y")), (0, None, None)
        )

    def test_negative_weights(self):
        with self.assertRaises(ValueError):
            graph(("a", "b", -1))

    def test_unlink(self):
        made = graph(("a", "b"))
        self.assertEqual(
            (made.unlink("a", "b"), made.unlink("a", "b"), made.nodes()), (True, False, ["a", "b"])
        )

    def test_reversed(self):
        made = graph(("a", "b", 3))
        made.add("c")
        self.assertEqual(
            (made.reversed().links(), made.reversed().nodes()), ([("b", "a", 3)], ["a", "b", "c"])
        )

    def test_degree(self):
        self.assertEqual(graph(("a", "b"), ("a", "c"), ("c", "a")).degree("a"), (2, 1))
