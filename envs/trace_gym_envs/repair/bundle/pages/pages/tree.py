"""Pieces to a tree: ("text", text), ("value", path, filters, line), ("if", negated, path, then, otherwise,
line), ("for", name, path, body, line)."""

from pages.scan import TemplateError, scan


def parse(source):
    """The tree of a template: a list of nodes. Raises TemplateError."""
    pieces = scan(source)
    nodes, at, word = parse_until(pieces, 0, ())
    if at != len(pieces):
        raise TemplateError(pieces[at][2], f"{word} without a beginning")
    return nodes


def parse_until(pieces, at, stops):
    """The nodes up to a block that begins with one of the stops: nodes, its place, its word."""
    nodes = []
    while at < len(pieces):
        kind, text, line = pieces[at]
        if kind == "text":
            nodes.append(("text", text))
            at += 1
        elif kind == "value":
            path, *filters = [part.strip() for part in text.split("|")]
            if not path:
                raise TemplateError(line, "a value needs a name")
            nodes.append(("value", path, filters, line))
            at += 1
        else:
            words = text.split()
            word = words[0] if words else ""
            if word in stops or word in ("else", "end"):
                return nodes, at, word
            if word == "if":
                node, at = parse_if(pieces, at, words)
            elif word == "for":
                node, at = parse_for(pieces, at, words)
            else:
                raise TemplateError(line, f"unknown block {word!r}")
            nodes.append(node)
    return nodes, at, ""


def parse_if(pieces, at, words):
    """An `if` block: its node, and the place behind its end."""
    line = pieces[at][2]
    negated = len(words) == 3 and words[1] == "not"
    if len(words) != (3 if negated else 2):
        raise TemplateError(line, "if takes one name, or not and a name")
    otherwise = []
    then, at, word = parse_until(pieces, at + 1, ("else", "end"))
    if word == "else":
        otherwise, at, word = parse_until(pieces, at + 1, ("end",))
    if word != "end":
        raise TemplateError(line, "if without end")
    return ("if", negated, words[-1], then, otherwise, line), at + 1


def parse_for(pieces, at, words):
    """A `for` block: its node, and the place behind its end."""
    line = pieces[at][2]
    if len(words) != 4 or words[2] != "in":
        raise TemplateError(line, "for is written: for name in values")
    body, at, word = parse_until(pieces, at + 1, ("end",))
    if word != "end":
        raise TemplateError(line, "for without end")
    return ("for", words[1], words[3], body, line), at + 1
