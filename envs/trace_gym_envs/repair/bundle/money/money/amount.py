"""Amounts: whole numbers of the smallest unit of a currency."""

from money.currency import MoneyError, parse, write


def half_even(numerator, denominator):
    """The whole number nearest to a fraction; halves go to the even one."""
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    whole, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1):
        return whole + 1
    return whole


class Amount:
    """An amount of money. Never changes."""

    def __init__(self, units, code):
        self.units = units
        self.code = code

    @classmethod
    def of(cls, text, code):
        """The amount that a text stands for."""
        return cls(parse(text, code), code)

    def __str__(self):
        return write(self.units, self.code)

    def __eq__(self, other):
        return isinstance(other, Amount) and (self.units, self.code) == (other.units, other.code)

    def plus(self, other):
        """The sum of two amounts in one currency."""
        self._same(other)
        return Amount(self.units + other.units, self.code)

    def minus(self, other):
        """The difference of two amounts in one currency."""
        self._same(other)
        return Amount(self.units - other.units, self.code)

    def times(self, numerator, denominator=1):
        """The amount times a fraction, rounded half to even."""
        if denominator == 0:
            raise MoneyError("a fraction of nothing")
        return Amount(half_even(self.units * numerator, denominator), self.code)

    def less(self, other):
        """Is it less than another amount in the same currency?"""
        self._same(other)
        return self.units < other.units

    def split(self, weights):
        """Shares by whole weights. Their sum is the amount: units left over go to the first shares with a
        weight."""
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise MoneyError("weights must not be negative, and one must be positive")
        shares = [abs(self.units) * weight // total for weight in weights]
        left = abs(self.units) - sum(shares)
        for i, weight in enumerate(weights):
            if left == 0:
                break
            if weight > 0:
                shares[i] += 1
                left -= 1
        sign = -1 if self.units < 0 else 1
        return [Amount(sign * share, self.code) for share in shares]

    def _same(self, other):
        if self.code != other.code:
            raise MoneyError(f"{self.code} and {other.code} do not mix")


def total(amounts, code):
    """The sum of amounts in a currency; zero where there are none."""
    result = Amount(0, code)
    for amount in amounts:
        result = result.plus(amount)
    return result
