"""Options in names: `NAME?key=value&key=value`, converted to the types that a function's parameters declare.

Leaves out what the names stand for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints
from urllib.parse import parse_qsl

from pydantic import TypeAdapter, ValidationError

from trace_gym.core.errors import BadConfig, boundary, unknown


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword parameters of a function, or of a class's `__init__`, that may be set as options: their
    annotations by name."""
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    fixed = ("self", "split", "subset", "render_mode")
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    listed = inspect.signature(function).parameters.values()
    return {p.name: hints.get(p.name, str) for p in listed if p.name not in fixed and p.kind not in variadic}


def options_of(query: str, known: Mapping[str, Any], *, kind: str, what: str) -> dict[str, Any]:
    """The options in a query string; `known` maps names to types, `kind` and `what` are for messages.

    Raises UnknownName naming the nearest option, BadConfig for a value that does not fit.
    """
    with boundary(BadConfig, ValueError, what=f"{what}: options are written ?key=value&key=value"):
        literal = query.replace("+", "%2B")  # a form's plus is a blank, a path's or a model's is itself
        pairs = parse_qsl(literal, keep_blank_values=True, strict_parsing=True) if query else []
    options: dict[str, Any] = {}
    for key in dict.fromkeys(key for key, _ in pairs):
        if key not in known:
            raise unknown(kind, key, sorted(known))
        texts = [text for name, text in pairs if name == key]
        options[key] = _converted(texts, known[key], f"{what}: option {key!r}")
    return options


def _converted(texts: list[str], annotation: Any, where: str) -> Any:
    """The value that one text, or a list of them, stands for."""
    adapter = TypeAdapter(annotation)
    problem = f"is given {len(texts)} times"
    for candidate in [texts[0], texts] if len(texts) == 1 else [texts]:
        try:
            return adapter.validate_python(candidate)
        except ValidationError as error:
            if candidate is not texts:
                problem = f"{error.errors(include_url=False)[0]['msg']}, got {candidate!r}"
    raise BadConfig(f"{where}: {problem}")
