"""The heap."""

import unittest

from jobs.heap import Heap


def filled(*pairs):
    heap = Heap()
    for rank, entry in pairs:
        heap.push(rank, entry)
    return heap


class HeapTest(unittest.TestCase):
    def test_the_smallest_comes_first(self):
        heap = filled((3, "c"), (1, "a"), (2, "b"))
        self.assertEqual([heap.pop() for _ in range(3)], ["a", "b", "c"])

    def test_equal_ranks_keep_their_order(self):
        heap = filled(*((0, n) for n in range(6)))
        self.assertEqual([heap.pop() for _ in range(6)], [0, 1, 2, 3, 4, 5])

    def test_many(self):
        heap = filled(*((n * 7 % 11, n * 7 % 11) for n in range(11)))
        self.assertEqual([heap.pop() for _ in range(11)], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])

    def test_peek_takes_nothing(self):
        heap = filled((2, "b"), (1, "a"))
        self.assertEqual((heap.peek(), len(heap)), ("a", 2))

    def test_empty(self):
        with self.assertRaises(IndexError):
            Heap().pop()
        with self.assertRaises(IndexError):
            Heap().peek()
