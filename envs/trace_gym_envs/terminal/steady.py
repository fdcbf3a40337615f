"""What differs from run to run, taken out of text: the present time, addresses, random names, durations.

A time is masked only if it lies in the last month or the next day, seen from now: what is shown of the
present would differ in a replay, while times in data are kept. Leaves out times without a date.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from typing import Final

_BEFORE_S: Final = 31 * 86_400
_AFTER_S: Final = 86_400
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH: Final = "|".join(_MONTHS)

_ISO = re.compile(
    r"\b(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?(?: ?[+-]\d\d:?\d\d\b|Z\b)?"
)
_DATE = re.compile(
    rf"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ({_MONTH}) +(\d\d?) (\d\d):(\d\d):(\d\d)"
    r"(?: [AP]M)?(?: [A-Z]+)? (\d{4})"
)
_LISTED = re.compile(rf"\b({_MONTH}) +(\d\d?) (\d\d):(\d\d)(?![:\d])")
_EPOCH = re.compile(r"\b(\d{10})(?:\.\d+)?\b")
_FIXED: Final = (
    (re.compile(r"\b0x[0-9a-f]{12}\b"), "0x…"),
    (re.compile(r"/tmp/tmp\.?[A-Za-z0-9_]{8,10}\b"), "/tmp/tmp…"),
    (re.compile(r"\b(real|user|sys)([ \t]+)\d+m[\d.]+s"), r"\1\2…"),
    (re.compile(r"(: line \d+:) +\d+ (?=[A-Z][a-z]+)"), r"\1 "),
    (re.compile(r"^\[(\d+)\] \d+$", re.MULTILINE), r"[\1]"),
)
_MARK: Final = "(just now)"


def steady(text: str, now: float) -> str:
    """The text without what differs from run to run; `now` in seconds since 1970."""
    year = 1970 + int(now // 31_556_952)

    def recent(moment: float) -> bool:
        return now - _BEFORE_S <= moment <= now + _AFTER_S

    def mask(numbers: Callable[[re.Match[str]], list[tuple[int, ...]]]) -> Callable[[re.Match[str]], str]:
        def masked(found: re.Match[str]) -> str:
            return _MARK if any(recent(_seconds(each)) for each in numbers(found)) else found[0]

        return masked

    text = _DATE.sub(mask(_date_numbers), text)
    text = _ISO.sub(mask(lambda f: [tuple(int(part or 0) for part in f.groups())]), text)
    text = _LISTED.sub(mask(lambda f: [_listed(f, y) for y in (year - 1, year, year + 1)]), text)
    text = _EPOCH.sub(lambda f: _MARK if recent(float(f[1])) else f[0], text)
    for pattern, put in _FIXED:
        text = pattern.sub(put, text)
    return text


def _date_numbers(found: re.Match[str]) -> list[tuple[int, ...]]:
    month, day, hour, minute, second, year = found.groups()
    return [(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))]


def _listed(found: re.Match[str], year: int) -> tuple[int, ...]:
    """The time in a long listing, which leaves out the year."""
    month, day, hour, minute = found.groups()
    return (year, _MONTHS.index(month) + 1, int(day), int(hour), int(minute), 0)


def _seconds(numbers: tuple[int, ...]) -> float:
    """Seconds since 1970 of (year, month, day, hour, minute, second); what is no date lies in 1970."""
    year, month, day, *_ = numbers
    if not (1970 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= 31):
        return 0.0
    return float(calendar.timegm(numbers))
