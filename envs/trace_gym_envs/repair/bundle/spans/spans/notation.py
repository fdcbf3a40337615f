"""Sets of numbers as people write them: `1-3,7` holds 1, 2, 3 and 7."""

from spans.spanset import SpanSet


class BadNotation(ValueError):
    """Text that spells no set of numbers."""


def parse(text):
    """The set that a text spells; both ends of `a-b` belong to it, and blanks do not matter."""
    numbers = SpanSet()
    for part in text.split(","):
        part = part.strip()
        if not part:
            continue
        first, dash, last = part.partition("-")
        if not first.strip().isdigit() or (dash and not last.strip().isdigit()):
            raise BadNotation(f"cannot read {part!r}")
        low = int(first)
        high = int(last) if dash else low
        if high < low:
            raise BadNotation(f"{part!r} runs backwards")
        numbers.add(low, high + 1)
    return numbers


def write(numbers):
    """The shortest text that spells a set."""
    parts = []
    for start, stop in numbers.pairs():
        last = stop - 1
        parts.append(str(start) if start == last else f"{start}-{last}")
    return ",".join(parts)
