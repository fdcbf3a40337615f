"""Working days."""

from dates.calendar import weekday
from dates.shift import add_days, days_between

SATURDAY = 5


class Workdays:
    """Monday to Friday without the given holidays."""

    def __init__(self, holidays=()):
        self._holidays = set(holidays)

    def is_workday(self, date):
        """Is work done on that day?"""
        return weekday(date) < SATURDAY and date not in self._holidays

    def count(self, start, end):
        """The working days from start to end, both of which belong; 0 if the end comes first."""
        days = days_between(start, end)
        return sum(1 for i in range(days + 1) if self.is_workday(add_days(start, i)))

    def step(self, date, days):
        """The date so many working days later, or earlier for a negative number; 0 days: the date itself, or
        the next working day where it is none."""
        direction = -1 if days < 0 else 1
        if days == 0:
            while not self.is_workday(date):
                date = add_days(date, 1)
            return date
        left = abs(days)
        while left > 0:
            date = add_days(date, direction)
            if self.is_workday(date):
                left -= 1
        return date

    def due(self, date, days):
        """When something is due that takes so many calendar days: the end, moved to the next working day."""
        return self.step(add_days(date, days), 0)
