"""Matrices."""

import unittest

from matrix.dense import Matrix, SizeError


class DenseTest(unittest.TestCase):
    def test_size(self):
        self.assertEqual(Matrix([[1, 2, 3], [4, 5, 6]]).size, (2, 3))

    def test_what_is_no_matrix(self):
        with self.assertRaises(SizeError):
            Matrix([])
        with self.assertRaises(SizeError):
            Matrix([[1], [1, 2]])

    def test_sums(self):
        one, two = Matrix([[1, 2]]), Matrix([[3, 5]])
        self.assertEqual([one.plus(two).numbers(), one.minus(two).numbers()], [[[4, 7]], [[-2, -3]]])
        with self.assertRaises(SizeError):
            one.plus(Matrix([[1], [2]]))

    def test_products(self):
        self.assertEqual(Matrix([[1, 2], [3, 4]]).times(Matrix([[0, 1], [1, 1]])).numbers(), [[2, 3], [4, 7]])
        self.assertEqual(Matrix([[1, 2, 3]]).times(Matrix([[1], [1], [2]])).numbers(), [[9]])

    def test_sizes_of_products(self):
        with self.assertRaises(SizeError):
            Matrix([[1, 2]]).times(Matrix([[1, 2]]))

    def test_transposed(self):
        self.assertEqual(Matrix([[1, 2, 3], [4, 5, 6]]).transposed().numbers(), [[1, 4], [2, 5], [3, 6]])

    def test_powers(self):
        fibonacci = Matrix([[1, 1], [1, 0]])
        self.assertEqual([fibonacci.power(n).numbers()[0][1] for n in (0, 1, 2, 10)], [0, 1, 1, 55])

    def test_no_powers(self):
        with self.assertRaises(SizeError):
            Matrix([[1, 2]]).power(2)
        with self.assertRaises(ValueError):
            Matrix([[1]]).power(-1)

    def test_fractions(self):
        self.assertEqual(Matrix([["1/3", 2]]).scaled(3).numbers(), [[1, 6]])
        self.assertEqual(Matrix([["1/3"]]).numbers(), [["1/3"]])

    def test_trace(self):
        self.assertEqual(int(Matrix([[1, 9], [9, 2]]).trace()), 3)
