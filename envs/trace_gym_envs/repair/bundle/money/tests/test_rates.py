"""Rates."""

import unittest

from money.amount import Amount
from money.currency import MoneyError
from money.rates import Rates


def rates():
    made = Rates("EUR")
    made.put("USD", 4, 5)
    made.put("JPY", 1, 160)
    return made


class RatesTest(unittest.TestCase):
    def test_to_the_base(self):
        self.assertEqual(str(rates().convert(Amount(1000, "USD"), "EUR")), "€8.00")

    def test_from_the_base(self):
        self.assertEqual(str(rates().convert(Amount(1000, "EUR"), "USD")), "$12.50")

    def test_places_differ(self):
        self.assertEqual(str(rates().convert(Amount(1234, "EUR"), "JPY")), "¥1,974")
        self.assertEqual(str(rates().convert(Amount(800, "JPY"), "USD")), "$6.25")

    def test_the_same_currency(self):
        self.assertEqual(rates().convert(Amount(5, "KWD"), "KWD").units, 5)

    def test_no_rate(self):
        with self.assertRaises(MoneyError):
            rates().convert(Amount(5, "EUR"), "KWD")

    def test_bad_rates(self):
        with self.assertRaises(MoneyError):
            rates().put("USD", 0)
        with self.assertRaises(MoneyError):
            rates().put("XXX", 1)

    def test_fee(self):
        self.assertEqual(rates().fee(Amount(20_000, "EUR"), 25).units, 50)
        self.assertEqual(rates().fee(Amount(100, "EUR"), 25, least=10).units, 10)
