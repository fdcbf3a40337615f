"""Values by path, and filters."""


class Missing(KeyError):
    """There is no such value."""


def lookup(path, scope):
    """The value at a path: keys of dictionaries and places in lists, divided by points."""
    value = scope
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, (list, tuple)) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise Missing(path)
    return value


def escape(text):
    """Text that is safe in HTML."""
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(mark, entity)
    return text


def show(value):
    """A value as text: None is empty, lists are divided by commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(show(item) for item in value)
    return str(value)


def apply(name, value):
    """A value after a filter such as `upper` or `cut:3`; a KeyError for an unknown one."""
    word, colon, argument = name.partition(":")
    if word == "upper":
        return show(value).upper()
    if word == "title":
        return " ".join(part[:1].upper() + part[1:] for part in show(value).split(" "))
    if word == "cut":
        text = show(value)
        size = int(argument)
        return text if len(text) <= size else text[: size - 1] + "~"
    if word == "default":
        return argument if value in (None, "") else value
    if word == "count":
        return len(value)
    if word == "join":
        return (argument if colon else ", ").join(show(item) for item in value)
    raise KeyError(word)
