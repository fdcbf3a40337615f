"""Sparse matrices."""

import unittest

from matrix.dense import SizeError
from matrix.sparse import Sparse, band


class SparseTest(unittest.TestCase):
    def test_values(self):
        one = Sparse(2, 3, {(0, 2): 5, (1, 0): 0})
        self.assertEqual((one.get((0, 2)), one.get((1, 1)), one.count()), (5, 0, 1))

    def test_zero_removes(self):
        one = Sparse(2, 2, {(0, 0): 5})
        one.put((0, 0), 0)
        self.assertEqual(one.items(), [])

    def test_places(self):
        with self.assertRaises(SizeError):
            Sparse(2, 2).put((2, 0), 1)
        with self.assertRaises(SizeError):
            Sparse(2, 2).put((0, -1), 1)

    def test_plus(self):
        one, two = Sparse(2, 2, {(0, 0): 5, (0, 1): 1}), Sparse(2, 2, {(0, 0): -5, (1, 1): 2})
        self.assertEqual(one.plus(two).items(), [((0, 1), 1), ((1, 1), 2)])
        self.assertEqual(one.count(), 2)

    def test_times(self):
        one, two = Sparse(2, 3, {(0, 2): 5, (1, 0): 2}), Sparse(3, 2, {(2, 1): 3, (0, 0): 7})
        self.assertEqual(one.times(two).items(), [((0, 1), 15), ((1, 0), 14)])

    def test_sizes(self):
        with self.assertRaises(SizeError):
            Sparse(2, 3).times(Sparse(2, 3))
        with self.assertRaises(SizeError):
            Sparse(0, 3)

    def test_band(self):
        self.assertEqual(band(3, -1, 2).dense().numbers(), [[2, -1, 0], [-1, 2, -1], [0, -1, 2]])
