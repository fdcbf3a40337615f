"""Route patterns."""

KINDS = ("int", "str", "path")


class BadPattern(ValueError):
    """A pattern that cannot be read."""


def split(path):
    """The segments of a path; slashes at its ends do not count, empty segments inside do."""
    inner = path.strip("/")
    return inner.split("/") if inner else []


def segment(text):
    """("plain", text), or (kind, name) for a segment in angle brackets."""
    if not (text.startswith("<") and text.endswith(">")):
        if "<" in text or ">" in text:
            raise BadPattern(f"{text!r} mixes text and a name")
        return ("plain", text)
    name, colon, kind = text[1:-1].partition(":")
    if not name.isidentifier():
        raise BadPattern(f"{name!r} is no name")
    if not colon:
        kind = "str"
    if kind not in KINDS:
        raise BadPattern(f"unknown kind {kind!r}")
    return (kind, name)


def parse(pattern):
    """The segments of a pattern. Names must differ, and a path comes last."""
    if not pattern.startswith("/"):
        raise BadPattern("a pattern begins with a slash")
    segments = [segment(text) for text in split(pattern)]
    names = [value for kind, value in segments if kind != "plain"]
    if len(set(names)) != len(names):
        raise BadPattern("a name is used twice")
    for kind, _ in segments[:-1]:
        if kind == "path":
            raise BadPattern("a path must come last")
    return segments


def accepts(kind, text):
    """Does a segment fit a kind? Whole numbers have no sign and no leading zeros."""
    if kind == "int":
        return text.isdigit() and (text == "0" or text[0] != "0")
    return text != ""


def convert(kind, text):
    """The value that a segment stands for."""
    return int(text) if kind == "int" else text
