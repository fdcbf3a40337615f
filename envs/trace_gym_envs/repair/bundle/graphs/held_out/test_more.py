"""Cases that are not shown."""

import unittest

from graphs.graph import Graph
from graphs.search import NoPath, cheapest, distances, farthest, has_cycle, path
from graphs.structure import components, longest, order, reachable, roots


def graph(*links):
    made = Graph()
    for link in links:
        made.link(*link)
    return made


GRID = (
    ("p", "q", 4),
    ("p", "r", 1),
    ("r", "q", 2),
    ("q", "s", 1),
    ("r", "s", 9),
    ("s", "t", 0),
    ("t", "q", 3),
)


class MoreTest(unittest.TestCase):
    def test_links_one_way_by_default(self):
        made = graph(("a", "b"))
        self.assertEqual((made.neighbours("a"), made.neighbours("b"), made.weight("a", "b")), (["b"], [], 1))
        with self.assertRaises(KeyError):
            made.neighbours("z")

    def test_adding_again_keeps_links(self):
        made = graph(("a", "b", 7))
        made.add("a")
        self.assertEqual(
            (made.links(), made.degree("b"), made.unlink("z", "a")), ([("a", "b", 7)], (0, 1), False)
        )

    def test_reversing_twice(self):
        self.assertEqual(graph(*GRID).reversed().reversed().links() == graph(*GRID).links(), True)

    def test_costs(self):
        self.assertEqual(
            cheapest(graph(*GRID), "p"),
            ({"p": 0, "r": 1, "q": 3, "s": 4, "t": 4}, {"p": None, "r": "p", "q": "r", "s": "q", "t": "s"}),
        )

    def test_paths(self):
        self.assertEqual(
            (path(graph(*GRID), "p", "t"), path(graph(*GRID), "t", "s")),
            ((4, ["p", "r", "q", "s", "t"]), (4, ["t", "q", "s"])),
        )
        with self.assertRaises(NoPath):
            path(graph(*GRID), "t", "p")

    def test_farthest_of_equals(self):
        self.assertEqual((farthest(graph(*GRID), "p"), farthest(graph(*GRID), "t")), ("s", "s"))

    def test_distances_count_links(self):
        self.assertEqual(
            (distances(graph(*GRID), "p"), distances(graph(*GRID), "p", 1)),
            ({"p": 0, "q": 1, "r": 1, "s": 2, "t": 3}, {"p": 0, "q": 1, "r": 1}),
        )

    def test_cycles_behind_crossings(self):
        self.assertEqual(
            [
                has_cycle(graph(*GRID)),
                has_cycle(graph(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))),
                has_cycle(Graph()),
            ],
            [True, False, False],
        )

    def test_order_takes_the_smallest(self):
        self.assertEqual(order(graph(("d", "a"), ("c", "b"), ("b", "a"))), ["c", "b", "d", "a"])

    def test_structure_of_the_grid(self):
        made = graph(*GRID)
        self.assertEqual(
            (components(made), roots(made), reachable(made, "s")),
            ([["p"], ["q", "s", "t"], ["r"]], ["p"], ["q", "s", "t"]),
        )

    def test_longest_way(self):
        self.assertEqual(longest(graph(("a", "b", 1), ("b", "c", 1), ("x", "c", 5), ("c", "d", 2))), 7)
        with self.assertRaises(ValueError):
            longest(graph(("a", "b"), ("b", "a")))
