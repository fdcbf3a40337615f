"""Currencies, and amounts as text."""

PLACES = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}
SYMBOLS = {"EUR": "€", "USD": "$", "JPY": "¥"}


class MoneyError(ValueError):
    """Something that cannot be done with money."""


def places(code):
    """How many decimal places a currency has."""
    if code not in PLACES:
        raise MoneyError(f"unknown currency {code!r}")
    return PLACES[code]


def parse(text, code):
    """The number of smallest units that a text such as `-1,234.5` stands for; commas may group digits."""
    digits = text.strip().replace(",", "")
    sign = 1
    if digits[:1] in ("-", "+"):
        sign = -1 if digits[0] == "-" else 1
        digits = digits[1:]
    whole, point, part = digits.partition(".")
    if not whole.isdigit() or (point and not part.isdigit()):
        raise MoneyError(f"{text!r} is no amount")
    if len(part) > places(code):
        raise MoneyError(f"{code} has {places(code)} decimal places")
    return sign * int(whole + part.ljust(places(code), "0"))


def write(units, code, group=True):
    """Text for a number of smallest units, with the symbol before it or the code behind it."""
    count = places(code)
    digits = str(abs(units)).rjust(count + 1, "0")
    whole, part = (digits[:-count], "." + digits[-count:]) if count else (digits, "")
    if group:
        whole = f"{int(whole):,}"
    sign = "-" if units < 0 else ""
    if code in SYMBOLS:
        return f"{sign}{SYMBOLS[code]}{whole}{part}"
    return f"{sign}{whole}{part} {code}"
