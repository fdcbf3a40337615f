"""Dates that come again."""

from dates.calendar import BadDate
from dates.shift import add_days, add_months

UNITS = ("day", "week", "month")


def occurrences(start, unit, every=1, count=None, until=None):
    """The dates from a start: every so many days, weeks or months, at most `count`, none after `until`.

    Months are counted from the start, so that 31 January is followed by the end of February and by 31 March.
    """
    if unit not in UNITS or every < 1:
        raise BadDate(f"cannot repeat every {every} {unit}")
    if count is None and until is None:
        raise BadDate("there must be an end")
    found = []
    step = 0
    while count is None or len(found) < count:
        date = shifted(start, unit, step * every)
        if until is not None and date > until:
            break
        found.append(date)
        step += 1
    return found


def shifted(start, unit, steps):
    """A date moved by so many units."""
    if unit == "month":
        return add_months(start, steps)
    return add_days(start, steps * (7 if unit == "week" else 1))


def next_after(start, unit, date, every=1):
    """The first date of a series that lies after a date."""
    step = 0
    while shifted(start, unit, step * every) <= date:
        step += 1
    return shifted(start, unit, step * every)


def merged(*series):
    """Several series as one, sorted, each date once."""
    found = set()
    for dates in series:
        found.update(dates)
    return sorted(found)
