"""Text to tokens."""

OPERATORS = ("//", "<=", ">=", "==", "!=", "+", "-", "*", "/", "%", "^", "<", ">")
WORDS = ("and", "or", "not")


class CalcError(Exception):
    """An expression that cannot be read or evaluated."""


def tokenize(text):
    """A list of (kind, value, position); kinds: number, name, op, open, close, comma, end."""
    tokens = []
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
            continue
        start = at
        if char.isdigit():
            while at < len(text) and (text[at].isdigit() or text[at] == "."):
                at += 1
            tokens.append(("number", number(text[start:at], start), start))
        elif char.isalpha() or char == "_":
            while at < len(text) and (text[at].isalnum() or text[at] == "_"):
                at += 1
            word = text[start:at]
            tokens.append(("op" if word in WORDS else "name", word, start))
        elif char in "(),":
            at += 1
            tokens.append(({"(": "open", ")": "close", ",": "comma"}[char], char, start))
        else:
            found = operator(text, at)
            at += len(found)
            tokens.append(("op", found, start))
    tokens.append(("end", "", len(text)))
    return tokens


def number(digits, position):
    """The value of a run of digits and points."""
    if digits.count(".") > 1 or digits.endswith("."):
        raise CalcError(f"{digits!r} at {position} is no number")
    return float(digits) if "." in digits else int(digits)


def operator(text, at):
    """The longest operator that begins at a position."""
    for candidate in OPERATORS:
        if text.startswith(candidate, at):
            return candidate
    raise CalcError(f"{text[at]!r} at {at} has no meaning")
