"""What one line of a configuration file is."""


class BadLine(ValueError):
    """A line that cannot be read; `number` says which."""

    def __init__(self, number, reason):
        super().__init__(f"line {number}: {reason}")
        self.number = number


def classify(line, number):
    """The kind of a line and what it holds: ("blank",), ("comment", text), ("section", name),
    ("more", text) or ("pair", key, value)."""
    text = line.strip()
    if not text:
        return ("blank",)
    if text[0] in "#;":
        return ("comment", text[1:].strip())
    if line[0] in " \t":
        return ("more", text)
    if text[0] == "[":
        if text[-1] != "]" or len(text) < 3:
            raise BadLine(number, "a section is written [name]")
        return ("section", text[1:-1].strip())
    return ("pair", *split_pair(text, number))


def split_pair(text, number):
    """Key and value of a pair, divided at the first `=` or `:`."""
    places = [place for place in (text.find("="), text.find(":")) if place >= 0]
    if not places:
        raise BadLine(number, "expected key = value")
    at = min(places)
    key = text[:at].strip().lower()
    if not key:
        raise BadLine(number, "the key is missing")
    return key, unquote(text[at + 1 :].strip())


def unquote(value):
    """A value without the double quotes around it; without them, a comment at its end is cut off."""
    if len(value) >= 2 and value[0] == '"' and value[-1] == '"':
        return value[1:-1]
    cut = value.find(" #")
    return value[:cut].rstrip() if cut >= 0 else value
