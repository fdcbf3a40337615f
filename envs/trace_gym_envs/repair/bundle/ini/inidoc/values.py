"""Values with a meaning: booleans, numbers, lists, and values that stand for others."""

TRUE = ("yes", "true", "on", "1")
FALSE = ("no", "false", "off", "0")


class BadValue(ValueError):
    """A value that does not have the meaning asked for."""


def boolean(text):
    """True or False for yes/true/on/1 and no/false/off/0, in any case."""
    word = text.strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise BadValue(f"{text!r} is neither yes nor no")


def number(text, low=None, high=None):
    """A whole number between low and high, both allowed; `1_000` is a thousand, `0x1f` works too."""
    try:
        value = int(text.strip(), 0)
    except ValueError:
        raise BadValue(f"{text!r} is not a whole number") from None
    if low is not None and value < low:
        raise BadValue(f"{value} is below {low}")
    if high is not None and value > high:
        raise BadValue(f"{value} is above {high}")
    return value


def words(text):
    """The parts of a list that is divided by commas or line ends, without empty ones."""
    parts = text.replace("\n", ",").split(",")
    return [part.strip() for part in parts if part.strip()]


def expand(document, section, key, depth=8):
    """A value with every `${key}` and `${section.key}` in it replaced; `$$` is one dollar sign.

    Raises KeyError for a value that is not there, BadValue for one that stands for itself.
    """
    value = document.get(section, key)
    if value is None:
        raise KeyError(f"{section}.{key}")
    if depth == 0:
        raise BadValue(f"{section}.{key} stands for itself")
    out = []
    at = 0
    while at < len(value):
        if value.startswith("$$", at):
            out.append("$")
            at += 2
        elif value.startswith("${", at):
            end = value.find("}", at)
            if end < 0:
                raise BadValue(f"{value!r} is not closed")
            place, dot, name = value[at + 2 : end].rpartition(".")
            out.append(expand(document, place if dot else section, name, depth - 1))
            at = end + 1
        else:
            out.append(value[at])
            at += 1
    return "".join(out)
