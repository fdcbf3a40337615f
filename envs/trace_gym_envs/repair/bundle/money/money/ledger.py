"""Accounts, and money that moves between them."""

from money.amount import Amount
from money.currency import MoneyError


class Ledger:
    """Accounts in one currency. Invariant: the sum of all balances is zero, `outside` being an account
    too."""

    def __init__(self, code):
        self.code = code
        self._balances = {"outside": 0}
        self._limits = {"outside": None}
        self._moves = []

    def open(self, name, limit=0):
        """Open an account whose balance must not fall below `limit` units; None: no limit."""
        if name in self._balances:
            raise MoneyError(f"account {name!r} is there already")
        self._balances[name] = 0
        self._limits[name] = limit

    def balance(self, name):
        """The balance of an account."""
        if name not in self._balances:
            raise MoneyError(f"there is no account {name!r}")
        return Amount(self._balances[name], self.code)

    def move(self, source, target, amount, note=""):
        """Move a positive amount; refused if the source would fall below its limit."""
        if amount.code != self.code or amount.units <= 0:
            raise MoneyError("only positive amounts of the ledger's currency move")
        after = self.balance(source).minus(amount)
        self.balance(target)
        limit = self._limits[source]
        if limit is not None and after.units < limit:
            raise MoneyError(f"{source} has only {self.balance(source)}")
        self._shift(source, target, amount.units)
        self._moves.append((source, target, amount.units, note))

    def undo(self):
        """Take the last move back; False if there was none."""
        if not self._moves:
            return False
        source, target, units, _ = self._moves.pop()
        self._shift(target, source, units)
        return True

    def statement(self, name):
        """The moves of an account, oldest first: (other account, units with sign, balance after, note)."""
        lines = []
        balance = 0
        for source, target, units, note in self._moves:
            if name not in (source, target):
                continue
            change = units if name == target else -units
            other = source if name == target else target
            balance += change
            lines.append((other, change, balance, note))
        return lines

    def _shift(self, source, target, units):
        self._balances[source] -= units
        self._balances[target] += units
