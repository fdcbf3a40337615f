"""Accounts."""

import unittest

from money.amount import Amount
from money.currency import MoneyError
from money.ledger import Ledger


def ledger():
    made = Ledger("EUR")
    made.open("ann")
    made.open("bob", limit=-500)
    made.move("outside", "ann", Amount(1000, "EUR"), "pay")
    return made


class LedgerTest(unittest.TestCase):
    def test_move(self):
        made = ledger()
        made.move("ann", "bob", Amount(400, "EUR"))
        self.assertEqual([made.balance(name).units for name in ("ann", "bob", "outside")], [600, 400, -1000])

    def test_the_limit_may_be_reached(self):
        made = ledger()
        made.move("ann", "bob", Amount(1000, "EUR"))
        made.move("bob", "ann", Amount(1500, "EUR"))
        self.assertEqual([made.balance(name).units for name in ("ann", "bob")], [1500, -500])

    def test_but_not_passed(self):
        made = ledger()
        with self.assertRaises(MoneyError):
            made.move("ann", "bob", Amount(1001, "EUR"))
        self.assertEqual(made.balance("ann").units, 1000)

    def test_what_does_not_move(self):
        made = ledger()
        with self.assertRaises(MoneyError):
            made.move("ann", "bob", Amount(0, "EUR"))
        with self.assertRaises(MoneyError):
            made.move("ann", "bob", Amount(5, "USD"))
        with self.assertRaises(MoneyError):
            made.move("ann", "eve", Amount(5, "EUR"))

    def test_undo(self):
        made = ledger()
        made.move("ann", "bob", Amount(400, "EUR"))
        self.assertEqual((made.undo(), made.balance("ann").units, made.balance("bob").units), (True, 1000, 0))
        self.assertEqual((made.undo(), made.undo()), (True, False))

    def test_statement(self):
        made = ledger()
        made.move("ann", "bob", Amount(400, "EUR"), "rent")
        self.assertEqual(made.statement("ann"), [("outside", 1000, 1000, "pay"), ("bob", -400, 600, "rent")])

    def test_accounts_are_opened_once(self):
        with self.assertRaises(MoneyError):
            ledger().open("ann")
