"""Solving."""

import unittest

from matrix.dense import Matrix, SizeError
from matrix.solve import NoSolution, determinant, inverse, rank, reduced, solve


class SolveTest(unittest.TestCase):
    def test_reduced(self):
        form, pivots, factor = reduced(Matrix([[0, 2], [3, 6]]))
        self.assertEqual((form.numbers(), pivots, int(factor)), ([[1, 0], [0, 1]], [0, 1], -6))

    def test_rank(self):
        self.assertEqual([rank(Matrix(m)) for m in ([[1, 2], [2, 4]], [[1, 2], [2, 5]], [[0, 0]])], [1, 2, 0])

    def test_determinant(self):
        self.assertEqual(
            [int(determinant(Matrix(m))) for m in ([[1, 2], [3, 4]], [[1, 2], [2, 4]], [[5]])], [-2, 0, 5]
        )
        with self.assertRaises(SizeError):
            determinant(Matrix([[1, 2]]))

    def test_inverse(self):
        self.assertEqual(inverse(Matrix([[2, 1], [1, 1]])).numbers(), [[1, -1], [-1, 2]])

    def test_no_inverse(self):
        with self.assertRaises(NoSolution):
            inverse(Matrix([[1, 2], [2, 4]]))
        with self.assertRaises(SizeError):
            inverse(Matrix([[1, 2]]))

    def test_solve(self):
        self.assertEqual([int(v) for v in solve(Matrix([[1, 1], [1, -1]]), [5, 1])], [3, 2])

    def test_free_unknowns_are_zero(self):
        self.assertEqual([int(v) for v in solve(Matrix([[1, 1, 0], [0, 0, 1]]), [4, 7])], [4, 0, 7])

    def test_contradictions(self):
        with self.assertRaises(NoSolution):
            solve(Matrix([[1, 1], [2, 2]]), [1, 3])
