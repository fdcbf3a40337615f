"""Conversion between currencies."""

from money.amount import Amount, half_even
from money.currency import MoneyError, places


class Rates:
    """Rates as fractions: `numerator / denominator` of the base currency for one of another."""

    def __init__(self, base):
        self.base = base
        self._rates = {base: (1, 1)}

    def put(self, code, numerator, denominator=1):
        """Set the price of one unit of a currency in the base currency."""
        if numerator <= 0 or denominator <= 0:
            raise MoneyError("a rate is positive")
        places(code)
        self._rates[code] = (numerator, denominator)

    def convert(self, amount, code):
        """An amount in another currency, rounded half to even once."""
        if amount.code == code:
            return amount
        for needed in (amount.code, code):
            if needed not in self._rates:
                raise MoneyError(f"there is no rate for {needed}")
        up, down = self._rates[amount.code]
        to_up, to_down = self._rates[code]
        shift = places(code) - places(amount.code)
        numerator = amount.units * up * to_down * 10 ** max(shift, 0)
        denominator = down * to_up * 10 ** max(-shift, 0)
        return Amount(half_even(numerator, denominator), code)

    def fee(self, amount, hundredths, least=0):
        """A fee in hundredths of a percent of an amount, but at least so many units."""
        units = amount.times(hundredths, 10_000).units
        return Amount(max(units, least), amount.code)
