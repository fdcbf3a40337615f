"""Trees to text."""

from pages.scan import TemplateError
from pages.tree import parse
from pages.values import Missing, apply, escape, lookup, show


class Template:
    """A template, read once and rendered any number of times."""

    def __init__(self, source, strict=False, html=True):
        self._nodes = parse(source)
        self._strict = strict
        self._html = html

    def render(self, values):
        """The text for values by name. Raises TemplateError."""
        return self._all(self._nodes, values)

    def _all(self, nodes, scope):
        return "".join(self._one(node, scope) for node in nodes)

    def _one(self, node, scope):
        kind = node[0]
        if kind == "text":
            return node[1]
        if kind == "value":
            return self._value(node, scope)
        if kind == "if":
            _, negated, path, then, otherwise, _ = node
            holds = bool(self._get(path, scope, None, node[-1]))
            return self._all(then if holds != negated else otherwise, scope)
        return self._loop(node, scope)

    def _value(self, node, scope):
        _, path, filters, line = node
        raw = bool(filters) and filters[-1] == "raw"
        names = filters[:-1] if raw else filters
        patient = any(name.startswith("default") for name in names)
        value = self._get(path, scope, "", line, patient)
        for name in names:
            try:
                value = apply(name, value)
            except KeyError:
                raise TemplateError(line, f"unknown filter {name!r}") from None
        text = show(value)
        return text if raw or not self._html else escape(text)

    def _loop(self, node, scope):
        _, name, path, body, line = node
        items = list(self._get(path, scope, (), line))
        out = []
        for number, item in enumerate(items, start=1):
            loop = {"number": number, "last": number == len(items), "first": number == 1}
            out.append(self._all(body, {**scope, name: item, "loop": loop}))
        return "".join(out)

    def _get(self, path, scope, default, line, patient=False):
        """A value; the default where there is none, unless the template is strict."""
        try:
            return lookup(path, scope)
        except Missing:
            if self._strict and not patient:
                raise TemplateError(line, f"{path} is missing") from None
            return default
