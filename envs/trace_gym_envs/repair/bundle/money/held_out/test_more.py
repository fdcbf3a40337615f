"""Cases that are not shown."""

import unittest

from money.amount import Amount, half_even, total
from money.currency import MoneyError, parse, write
from money.ledger import Ledger
from money.rates import Rates


class MoreTest(unittest.TestCase):
    def test_text_both_ways(self):
        self.assertEqual(
            [write(parse(t, "USD"), "USD") for t in ("0", "-0.01", "1000", "999.99", "1,000,000.5")],
            ["$0.00", "-$0.01", "$1,000.00", "$999.99", "$1,000,000.50"],
        )
        self.assertEqual(
            [write(7, "KWD"), write(-1234567, "JPY"), write(100, "EUR", group=False)],
            ["0.007 KWD", "-¥1,234,567", "€1.00"],
        )

    def test_signs(self):
        self.assertEqual([parse("+0.5", "EUR"), parse("-0.5", "EUR")], [50, -50])
        with self.assertRaises(MoneyError):
            parse("--5", "EUR")
        with self.assertRaises(MoneyError):
            parse("1.-5", "KWD")

    def test_rounding(self):
        self.assertEqual(
            [half_even(n, 4) for n in (1, 2, 3, 5, 6, 7, 10, -2, -6)], [0, 0, 1, 1, 2, 2, 2, 0, -2]
        )

    def test_splitting_by_weight(self):
        self.assertEqual(
            [
                [s.units for s in Amount(n, "EUR").split(w)]
                for n, w in ((7, [3, 2, 1]), (-1, [0, 5, 5]), (0, [1, 1]), (5, [1, 0, 1]))
            ],
            [[4, 2, 1], [0, -1, 0], [0, 0], [3, 0, 2]],
        )

    def test_totals_do_not_mix(self):
        with self.assertRaises(MoneyError):
            total([Amount(1, "EUR")], "USD")
        self.assertEqual(Amount.of("2.5", "EUR").minus(Amount.of("3", "EUR")).times(3, 7).units, -21)

    def test_a_ledger_sums_to_zero(self):
        ledger = Ledger("USD")
        ledger.open("a", limit=None)
        ledger.open("b")
        ledger.move("a", "b", Amount(700, "USD"), "x")
        ledger.move("b", "outside", Amount(300, "USD"), "y")
        self.assertEqual([ledger.balance(n).units for n in ("a", "b", "outside")], [-700, 400, 300])
        self.assertEqual(ledger.statement("b"), [("a", 700, 700, "x"), ("outside", -300, 400, "y")])
        with self.assertRaises(MoneyError):
            ledger.move("b", "a", Amount(401, "USD"))
        self.assertEqual(
            (ledger.undo(), ledger.balance("b").units, len(ledger.statement("b"))), (True, 700, 1)
        )

    def test_a_refused_move_leaves_no_trace(self):
        ledger = Ledger("USD")
        ledger.open("a", limit=None)
        with self.assertRaises(MoneyError):
            ledger.move("a", "nobody", Amount(1, "USD"))
        with self.assertRaises(MoneyError):
            ledger.move("a", "outside", Amount(-1, "USD"))
        self.assertEqual((ledger.balance("a").units, ledger.statement("a"), ledger.undo()), (0, [], False))

    def test_conversion_between_others(self):
        rates = Rates("EUR")
        rates.put("USD", 9, 10)
        rates.put("KWD", 3)
        self.assertEqual(
            [
                rates.convert(Amount(1001, "USD"), "KWD").units,
                rates.convert(Amount(1, "KWD"), "USD").units,
                rates.convert(Amount(1500, "KWD"), "EUR").units,
            ],
            [3003, 0, 450],
        )
        with self.assertRaises(MoneyError):
            rates.put("USD", 1, 0)
        with self.assertRaises(MoneyError):
            rates.convert(Amount(1, "JPY"), "EUR")

    def test_fees_round_once(self):
        rates = Rates("EUR")
        self.assertEqual(
            [rates.fee(Amount(n, "EUR"), 150).units for n in (100, 167, 300, 10_000)], [2, 3, 4, 150]
        )
