"""Amounts."""

import unittest

from money.amount import Amount, half_even, total
from money.currency import MoneyError


def eur(units):
    return Amount(units, "EUR")


class AmountTest(unittest.TestCase):
    def test_half_even(self):
        self.assertEqual([half_even(n, 2) for n in (1, 3, 5, 7, -1, -3)], [0, 2, 2, 4, 0, -2])
        self.assertEqual([half_even(7, 3), half_even(8, 3), half_even(7, -3)], [2, 3, -2])

    def test_sums(self):
        self.assertEqual((eur(5).plus(eur(7)).units, eur(5).minus(eur(7)).units), (12, -2))

    def test_currencies_do_not_mix(self):
        with self.assertRaises(MoneyError):
            eur(5).plus(Amount(5, "USD"))
        with self.assertRaises(MoneyError):
            eur(5).less(Amount(6, "USD"))

    def test_times(self):
        self.assertEqual(
            [eur(100).times(3).units, eur(5).times(1, 2).units, eur(7).times(1, 2).units], [300, 2, 4]
        )
        with self.assertRaises(MoneyError):
            eur(5).times(1, 0)

    def test_equality(self):
        self.assertEqual(
            [eur(5) == eur(5), eur(5) == eur(6), eur(5) == Amount(5, "USD")], [True, False, False]
        )

    def test_less(self):
        self.assertEqual([eur(4).less(eur(5)), eur(5).less(eur(5))], [True, False])

    def test_split_loses_nothing(self):
        self.assertEqual([share.units for share in eur(100).split([1, 1, 1])], [34, 33, 33])
        self.assertEqual([share.units for share in eur(-100).split([1, 1, 1])], [-34, -33, -33])

    def test_no_weight_no_share(self):
        self.assertEqual([share.units for share in eur(10).split([0, 1, 2])], [0, 4, 6])

    def test_bad_weights(self):
        with self.assertRaises(MoneyError):
            eur(10).split([0, 0])
        with self.assertRaises(MoneyError):
            eur(10).split([3, -1])

    def test_total(self):
        self.assertEqual([str(total([eur(5), eur(120)], "EUR")), str(total([], "JPY"))], ["€1.25", "¥0"])
