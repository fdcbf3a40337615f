"""Years, months and day numbers."""

LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class BadDate(ValueError):
    """A date that does not exist."""


def is_leap(year):
    """Does the year have 366 days?"""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in_month(year, month):
    """How many days a month has."""
    if not 1 <= month <= 12:
        raise BadDate(f"there is no month {month}")
    return 29 if month == 2 and is_leap(year) else LENGTHS[month - 1]


def check(date):
    """The date itself, if it exists. Raises BadDate."""
    year, month, day = date
    if year < 1 or not 1 <= day <= days_in_month(year, month):
        raise BadDate(f"there is no {year}-{month}-{day}")
    return date


def number(date):
    """Days since the beginning: 1 for 0001-01-01."""
    year, month, day = check(date)
    before = year - 1
    days = 365 * before + before // 4 - before // 100 + before // 400
    for earlier in range(1, month):
        days += days_in_month(year, earlier)
    return days + day


def date_of(days):
    """The date with a day number: the inverse of `number`."""
    if days < 1:
        raise BadDate("there is nothing before 0001-01-01")
    year = days // 366 + 1
    while number((year + 1, 1, 1)) <= days:
        year += 1
    month = 1
    rest = days - number((year, 1, 1)) + 1
    while rest > days_in_month(year, month):
        rest -= days_in_month(year, month)
        month += 1
    return (year, month, rest)


def weekday(date):
    """0 for Monday to 6 for Sunday."""
    return (number(date) - 1) % 7


def parse(text):
    """The date that `2024-02-29` stands for."""
    parts = text.strip().split("-")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise BadDate(f"{text!r} is no date")
    year, month, day = (int(part) for part in parts)
    return check((year, month, day))


def write(date):
    """The text that `parse` reads back."""
    year, month, day = date
    return f"{year:04d}-{month:02d}-{day:02d}"
