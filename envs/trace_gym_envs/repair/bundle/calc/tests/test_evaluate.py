"""Values."""

import unittest

from calc.evaluate import evaluate, names_in
from calc.tokens import CalcError


class EvaluateTest(unittest.TestCase):
    def test_arithmetic(self):
        self.assertEqual(evaluate("1 + 2 * 3 - 4"), 3)
        self.assertEqual(evaluate("17 // 5 + 17 % 5"), 5)

    def test_division(self):
        self.assertEqual([evaluate("6 / 3"), evaluate("7 / 2")], [2, 3.5])
        with self.assertRaises(CalcError):
            evaluate("1 / 0")
        with self.assertRaises(CalcError):
            evaluate("1 % 0")

    def test_powers(self):
        self.assertEqual([evaluate("2 ^ 10"), evaluate("-2 ^ 2"), evaluate("2 ^ -1")], [1024, -4, 0.5])
        with self.assertRaises(CalcError):
            evaluate("2 ^ 65")

    def test_names(self):
        self.assertEqual(evaluate("a * b", {"a": 6, "b": 7}), 42)
        with self.assertRaises(CalcError):
            evaluate("a")

    def test_comparisons(self):
        self.assertEqual(
            [evaluate(f"2 {op} 2") for op in ("<", "<=", ">", ">=", "==", "!=")],
            [False, True, False, True, True, False],
        )

    def test_logic_stops_early(self):
        self.assertEqual([evaluate("0 and 1 / 0"), evaluate("1 or 1 / 0")], [False, True])

    def test_functions(self):
        self.assertEqual(evaluate("min(3, 1, 2) + max(3, 1, 2) + abs(-4) + sum()"), 8)

    def test_if_takes_one_branch(self):
        self.assertEqual([evaluate("if(1, 2, 1 / 0)"), evaluate("if(0, 1 / 0, 3)")], [2, 3])

    def test_bad_calls(self):
        with self.assertRaises(CalcError):
            evaluate("min()")
        with self.assertRaises(CalcError):
            evaluate("if(1, 2)")

    def test_names_in(self):
        self.assertEqual(names_in("b + f(a, b) and not c"), ["a", "b", "c"])
