"""The tree of routes."""

from routes.pattern import KINDS, BadPattern, accepts, convert, parse, split


class NotFound(LookupError):
    """No route fits the path."""


class NotAllowed(LookupError):
    """Routes fit the path, but not the method; `allowed` names those that do, sorted."""

    def __init__(self, allowed):
        super().__init__(", ".join(allowed))
        self.allowed = allowed


class Node:
    """A place in the tree: what may follow, and the handlers of paths that end here."""

    def __init__(self):
        self.plain = {}
        self.named = {}
        self.handlers = {}


class Router:
    """Routes by path and method. Invariant: of each kind a node has at most one child."""

    def __init__(self):
        self._root = Node()
        self._patterns = {}

    def add(self, pattern, handler, methods=("GET",), name=None):
        """Add a route; a route that is there already is refused."""
        segments = parse(pattern)
        node = self._root
        names = []
        for kind, value in segments:
            if kind == "plain":
                node = node.plain.setdefault(value, Node())
            else:
                names.append((kind, value))
                node = node.named.setdefault(kind, Node())
        for method in methods:
            if method.upper() in node.handlers:
                raise BadPattern(f"{method} {pattern} is there already")
            node.handlers[method.upper()] = (handler, tuple(names))
        if name is not None:
            self._patterns[name] = segments

    def match(self, path, method="GET"):
        """The handler and its values by name. Raises NotFound, NotAllowed."""
        allowed = set()
        found = self._walk(self._root, split(path), [], method.upper(), allowed)
        if found is not None:
            return found
        if allowed:
            raise NotAllowed(sorted(allowed))
        raise NotFound(path)

    def build(self, route, **values):
        """The path of a named route; a KeyError for a missing value, a ValueError for one that does not
        fit."""
        parts = []
        for kind, value in self._patterns[route]:
            if kind == "plain":
                parts.append(value)
                continue
            text = str(values[value])
            if not accepts(kind, text) or (kind == "str" and "/" in text):
                raise ValueError(f"{value} cannot be {text!r}")
            parts.append(text)
        return "/" + "/".join(parts)

    def _walk(self, node, segments, taken, method, allowed):
        if not segments:
            return self._end(node, taken, method, allowed)
        first, rest = segments[0], segments[1:]
        if first in node.plain:
            found = self._walk(node.plain[first], rest, taken, method, allowed)
            if found is not None:
                return found
        for kind in KINDS:
            if kind not in node.named:
                continue
            child = node.named[kind]
            if kind == "path":
                found = self._end(child, [*taken, "/".join(segments)], method, allowed)
            elif accepts(kind, first):
                found = self._walk(child, rest, [*taken, first], method, allowed)
            else:
                found = None
            if found is not None:
                return found
        return None

    def _end(self, node, taken, method, allowed):
        if method in node.handlers:
            handler, names = node.handlers[method]
            pairs = zip(names, taken)
            return handler, {name: convert(kind, text) for (kind, name), text in pairs}
        allowed.update(node.handlers)
        return None
