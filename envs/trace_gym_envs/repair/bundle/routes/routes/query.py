"""Query strings."""

SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
HEX = "0123456789ABCDEF"


def quote(text):
    """Text with everything but letters, digits and -._~ as percent codes of its UTF-8 bytes."""
    out = []
    for char in text:
        if char in SAFE:
            out.append(char)
        else:
            out.extend(f"%{byte:02X}" for byte in char.encode("utf-8"))
    return "".join(out)


def unquote(text):
    """The inverse of `quote`; `+` is a blank, and percent signs that begin no code stay."""
    out = bytearray()
    at = 0
    while at < len(text):
        char = text[at]
        code = text[at + 1 : at + 3].upper()
        if char == "%" and len(code) == 2 and all(digit in HEX for digit in code):
            out.append(int(code, 16))
            at += 3
            continue
        out.extend(b" " if char == "+" else char.encode("utf-8"))
        at += 1
    return out.decode("utf-8", "replace")


def parse(query):
    """Values by key, as lists in the order in which they came; keys without `=` have the value `""`."""
    found = {}
    for part in query.lstrip("?").split("&"):
        if not part:
            continue
        key, _, value = part.partition("=")
        found.setdefault(unquote(key), []).append(unquote(value))
    return found


def write(values):
    """A query string, keys sorted; lists give several pairs, None and empty lists give none."""
    parts = []
    for key in sorted(values):
        value = values[key]
        if value is None:
            continue
        items = value if isinstance(value, (list, tuple)) else [value]
        parts.extend(f"{quote(key)}={quote(str(item))}" for item in items)
    return "&".join(parts)


def first(found, key, default=None):
    """The first value of a key."""
    values = found.get(key)
    return values[0] if values else default


def divide(url):
    """Path, query and fragment of a URL without host."""
    rest, _, fragment = url.partition("#")
    path, _, query = rest.partition("?")
    return path, query, fragment
