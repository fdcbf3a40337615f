"""Trees."""

import unittest

from calc.parser import Parser
from calc.tokens import CalcError


class ParserTest(unittest.TestCase):
    def test_product_before_sum(self):
        self.assertEqual(Parser("1+2*3").parse(), ("+", ("number", 1), ("*", ("number", 2), ("number", 3))))

    def test_left_to_right(self):
        self.assertEqual(Parser("8-4-2").parse(), ("-", ("-", ("number", 8), ("number", 4)), ("number", 2)))

    def test_powers_bind_to_the_right(self):
        self.assertEqual(Parser("2^3^2").parse(), ("^", ("number", 2), ("^", ("number", 3), ("number", 2))))

    def test_minus_is_weaker_than_power(self):
        self.assertEqual(Parser("-2^2").parse(), ("neg", ("^", ("number", 2), ("number", 2))))

    def test_calls(self):
        self.assertEqual(Parser("f(1, x)").parse(), ("call", "f", [("number", 1), ("name", "x")]))
        self.assertEqual(Parser("f()").parse(), ("call", "f", []))

    def test_parentheses(self):
        self.assertEqual(Parser("(1+2)*3").parse(), ("*", ("+", ("number", 1), ("number", 2)), ("number", 3)))

    def test_what_is_missing(self):
        with self.assertRaises(CalcError):
            Parser("(1+2").parse()
        with self.assertRaises(CalcError):
            Parser("1+").parse()

    def test_what_is_too_much(self):
        with self.assertRaises(CalcError):
            Parser("1 2").parse()
        with self.assertRaises(CalcError):
            Parser("1)").parse()

    def test_not_is_weaker_than_comparison(self):
        self.assertEqual(Parser("not a < b").parse(), ("not", ("<", ("name", "a"), ("name", "b"))))
