"""Tokens."""

import unittest

from calc.tokens import CalcError, tokenize


class TokensTest(unittest.TestCase):
    def test_kinds_and_positions(self):
        self.assertEqual(
            tokenize("x1 + 2"), [("name", "x1", 0), ("op", "+", 3), ("number", 2, 5), ("end", "", 6)]
        )

    def test_the_longest_operator(self):
        self.assertEqual([value for _, value, _ in tokenize("1<=2//3")], [1, "<=", 2, "//", 3, ""])

    def test_words_are_operators(self):
        self.assertEqual([kind for kind, _, _ in tokenize("not a_b")], ["op", "name", "end"])

    def test_points(self):
        self.assertEqual(tokenize("1.25")[0], ("number", 1.25, 0))
        with self.assertRaises(CalcError):
            tokenize("1.2.3")
        with self.assertRaises(CalcError):
            tokenize("1.")

    def test_calls(self):
        self.assertEqual(
            [kind for kind, _, _ in tokenize("f(1,x)")],
            ["name", "open", "number", "comma", "name", "close", "end"],
        )

    def test_nonsense(self):
        with self.assertRaises(CalcError):
            tokenize("1 $ 2")
