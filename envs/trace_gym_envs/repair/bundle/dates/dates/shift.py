"""From one date to another."""

from dates.calendar import date_of, days_in_month, number, weekday


def add_days(date, days):
    """The date so many days later, or earlier for a negative number."""
    return date_of(number(date) + days)


def add_months(date, months):
    """The same day so many months later; the last day of the month where there is no such day."""
    year, month, day = date
    index = 12 * year + (month - 1) + months
    year, month = index // 12, index % 12 + 1
    return (year, month, min(day, days_in_month(year, month)))


def days_between(start, end):
    """How many days from one date to another; negative if the end comes first."""
    return number(end) - number(start)


def month_end(date):
    """The last day of the month."""
    year, month, _ = date
    return (year, month, days_in_month(year, month))


def age(birth, today):
    """Whole years since a date of birth. Born on 29 February, one becomes older on 1 March in other years."""
    years = today[0] - birth[0]
    if (today[1], today[2]) < (birth[1], birth[2]):
        years -= 1
    return years


def iso_week(date):
    """Year and number of the ISO week: weeks begin on Monday, week 1 holds the year's first Thursday."""
    thursday = add_days(date, 3 - weekday(date))
    first = (thursday[0], 1, 1)
    return (thursday[0], days_between(first, thursday) // 7 + 1)


def quarter(date):
    """1 to 4."""
    return (date[1] - 1) // 3 + 1
