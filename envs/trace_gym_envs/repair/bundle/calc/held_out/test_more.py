"""Cases that are not shown."""

import unittest

from calc.evaluate import evaluate, names_in
from calc.parser import Parser
from calc.tokens import CalcError, tokenize


class MoreTest(unittest.TestCase):
    def test_mixed_precedence(self):
        self.assertEqual(
            [evaluate(t) for t in ("2 * -3", "2 - -3", "+4 - +1", "2 ^ 3 ^ 0", "10 - 2 * 3 % 4", "-7 // 2")],
            [-6, 5, 3, 2, 8, -4],
        )

    def test_logic(self):
        self.assertEqual(
            [evaluate(t) for t in ("1 and 0 or 1", "not 1 or 1", "1 < 2 and 2 < 3", "not 0 and 0", "3 or 0")],
            [True, True, True, False, True],
        )

    def test_comparison_of_sums(self):
        self.assertEqual(
            [evaluate("1 + 1 == 2"), evaluate("3 >= 2 + 2"), evaluate("5 != 2 + 3"), evaluate("4 > 3")],
            [True, False, False, True],
        )

    def test_nesting(self):
        self.assertEqual(evaluate("((2))*(max(1,(3+4),abs(-9)))"), 18)

    def test_division_keeps_fractions(self):
        self.assertEqual(
            [evaluate("1 / 4"), evaluate("-8 / 2"), evaluate("2.5 * 2"), evaluate("7.5 // 2")],
            [0.25, -4, 5.0, 3.0],
        )

    def test_the_last_allowed_exponent(self):
        self.assertEqual([evaluate("1 ^ 64"), evaluate("2 ^ 64") % 1000], [1, 616])

    def test_names_with_digits(self):
        self.assertEqual(tokenize("_a9b")[0], ("name", "_a9b", 0))
        self.assertEqual(names_in("if(x > y2, x, 3) ^ 2"), ["x", "y2"])

    def test_positions_in_messages(self):
        message = ""
        try:
            evaluate("1 + (2 * ")
        except CalcError as error:
            message = str(error)
        self.assertEqual(message, "expected a value at 9")

    def test_refusals(self):
        with self.assertRaises(CalcError):
            Parser("f(1,)").parse()
        with self.assertRaises(CalcError):
            evaluate("nothing(1)")
        with self.assertRaises(CalcError):
            evaluate("5 // (2 - 2)")

    def test_empty_text(self):
        with self.assertRaises(CalcError):
            evaluate("")
        self.assertEqual(tokenize("  "), [("end", "", 2)])
