"""Amounts as text."""

import unittest

from money.currency import MoneyError, parse, places, write


class CurrencyTest(unittest.TestCase):
    def test_places(self):
        self.assertEqual([places("EUR"), places("JPY"), places("KWD")], [2, 0, 3])
        with self.assertRaises(MoneyError):
            places("XXX")

    def test_parse(self):
        self.assertEqual(
            [parse("12.34", "EUR"), parse("12.3", "EUR"), parse("12", "EUR")], [1234, 1230, 1200]
        )
        self.assertEqual([parse("-1,234.5", "KWD"), parse("+7", "JPY")], [-1234500, 7])

    def test_too_many_places(self):
        with self.assertRaises(MoneyError):
            parse("1.234", "EUR")
        with self.assertRaises(MoneyError):
            parse("1.2", "JPY")

    def test_no_amounts(self):
        with self.assertRaises(MoneyError):
            parse("", "EUR")
        with self.assertRaises(MoneyError):
            parse("1.", "EUR")
        with self.assertRaises(MoneyError):
            parse("ten", "EUR")

    def test_write(self):
        self.assertEqual(
            [write(123456789, "EUR"), write(-5, "USD"), write(1500, "JPY")],
            ["€1,234,567.89", "-$0.05", "¥1,500"],
        )
        self.assertEqual(write(1234567, "KWD", group=False), "1234.567 KWD")
