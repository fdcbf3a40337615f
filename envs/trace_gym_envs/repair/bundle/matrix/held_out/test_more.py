"""Cases that are not shown."""

import unittest

from matrix.dense import Matrix, SizeError
from matrix.solve import NoSolution, beside, determinant, inverse, rank, reduced, solve
from matrix.sparse import Sparse, band
from matrix.text import read, write


class MoreTest(unittest.TestCase):
    def test_products_with_the_identity(self):
        one = Matrix([[1, 2, 3], [0, "1/2", 4]])
        self.assertEqual(
            [
                one.times(Matrix.identity(3)) == one,
                Matrix.identity(2).times(one) == one,
                one == one.transposed(),
            ],
            [True, True, False],
        )

    def test_higher_powers(self):
        self.assertEqual(
            [Matrix([[2, 0], [1, 1]]).power(n).numbers() for n in (3, 6)],
            [[[8, 0], [7, 1]], [[64, 0], [63, 1]]],
        )

    def test_empty_rows(self):
        with self.assertRaises(SizeError):
            Matrix([[]])
        self.assertEqual(
            (int(Matrix([[1, 2, 3], [4, 5, 6]]).trace()), Matrix([[4]]).minus(Matrix([[6]])).numbers()),
            (6, [[-2]]),
        )

    def test_larger_determinants(self):
        self.assertEqual(
            [
                int(determinant(Matrix(m)))
                for m in (
                    [[2, 0, 1], [1, 3, 2], [1, 1, 4]],
                    [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
                    [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
                    [[0, 1], [1, 0]],
                )
            ],
            [18, 1, 0, -1],
        )

    def test_reduction_with_a_gap(self):
        form, pivots, _ = reduced(Matrix([[0, 0, 2], [0, 3, 3], [0, 6, 8]]))
        self.assertEqual(
            (form.numbers(), pivots, rank(Matrix([[0, 1], [0, 2], [0, 0]]))),
            ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [1, 2], 1),
        )

    def test_inverse_both_ways(self):
        one = Matrix([[0, 2, 1], [1, 0, 0], [3, 0, 1]])
        self.assertEqual(
            [inverse(one).numbers(), one.times(inverse(one)) == Matrix.identity(3)],
            [[[0, 1, 0], ["1/2", "3/2", "-1/2"], [0, -3, 1]], True],
        )
        with self.assertRaises(NoSolution):
            inverse(Matrix([[0]]))

    def test_systems(self):
        self.assertEqual([str(v) for v in solve(Matrix([[2, 1], [1, 3], [3, 4]]), [3, 5, 8])], ["4/5", "7/5"])
        self.assertEqual([str(v) for v in solve(Matrix([[0, 2, 4]]), [3])], ["0", "3/2", "0"])
        with self.assertRaises(NoSolution):
            solve(Matrix([[2, 1], [1, 3], [3, 4]]), [3, 5, 9])
        with self.assertRaises(SizeError):
            beside(Matrix([[1]]), Matrix([[1], [2]]))

    def test_sparse_sums_that_vanish(self):
        one, two = Sparse(1, 2, {(0, 0): 2, (0, 1): 3}), Sparse(2, 1, {(0, 0): 3, (1, 0): -2})
        self.assertEqual(
            (one.times(two).items(), two.times(one).items()),
            ([], [((0, 0), 6), ((0, 1), 9), ((1, 0), -4), ((1, 1), -6)]),
        )
        with self.assertRaises(SizeError):
            one.plus(two)
        with self.assertRaises(SizeError):
            one.put((0, 2), 1)

    def test_bands(self):
        self.assertEqual(
            (band(4, 1, 5).count(), band(1, 9, 3).items(), band(2, 0, 1).count(), band(3, 1, 0).items()),
            (10, [((0, 0), 3)], 2, [((0, 1), 1), ((1, 0), 1), ((1, 2), 1), ((2, 1), 1)]),
        )

    def test_text_both_ways(self):
        text = "1/2  -3\n 10 4/5"
        self.assertEqual(
            (write(read(text)), read("  7 8 # x\n # y\n").numbers()), ("1/2  -3\n 10 4/5", [[7, 8]])
        )
