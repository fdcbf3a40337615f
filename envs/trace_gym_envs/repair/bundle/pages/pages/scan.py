"""Templates to pieces."""

CLOSERS = {"{{": "}}", "{%": "%}", "{#": "#}"}


class TemplateError(Exception):
    """A template that cannot be read or rendered; `line` says where."""

    def __init__(self, line, reason):
        super().__init__(f"line {line}: {reason}")
        self.line = line


def scan(source):
    """A list of (kind, text, line): kinds are text, value and block; comments are left out.

    A line that holds nothing but one block leaves no line behind.
    """
    pieces = []
    at = 0
    line = 1
    while at < len(source):
        start = opening(source, at)
        if start > at:
            pieces.append(("text", source[at:start], line))
            line += source.count("\n", at, start)
        if start == len(source):
            break
        mark = source[start : start + 2]
        end = source.find(CLOSERS[mark], start + 2)
        if end < 0:
            raise TemplateError(line, f"{mark} is not closed")
        inside = source[start + 2 : end].strip()
        if mark == "{{":
            pieces.append(("value", inside, line))
        elif mark == "{%":
            pieces.append(("block", inside, line))
        line += source.count("\n", start, end)
        at = end + 2
        if mark == "{%" and alone(source, start, at):
            line += 1
            at += 1
    return pieces


def opening(source, at):
    """Where the next opening mark is, else the end of the source."""
    places = [place for place in (source.find(mark, at) for mark in CLOSERS) if place >= 0]
    return min(places, default=len(source))


def alone(source, start, end):
    """Does a block fill its line, from the line's begin to its end?"""
    begins = start == 0 or source[start - 1] == "\n"
    ends = end < len(source) and source[end] == "\n"
    return begins and ends
