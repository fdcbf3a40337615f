"""Options of parts that a configuration names, against the types that the part's constructor declares.

A constructor bounds its numbers, but a fraction where it counts, or a word where it asks yes or no, would
pass, and break or mislead a run that has begun. Leaves out bounds, and types that no configuration can spell.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from enum import Enum
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from trace_gym.core.errors import BadConfig

_PLAIN: Mapping[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def demand_kinds(
    factory: Callable[..., object], options: Mapping[str, Any], *, what: str, prefix: str = ""
) -> None:
    """See that every option is of the type of the parameter of its name; `prefix` is what its name begins
    with where it is spelled. Nothing is seen to where types are named that only type checkers know. Raises
    BadConfig with what is allowed."""
    try:
        declared = inspect.signature(factory, eval_str=True).parameters
    except NameError:
        return
    for name, value in options.items():
        kinds = _alternatives(declared[name].annotation)
        if not any(_fits(value, kind) for kind in kinds):
            allowed = ", or ".join(filter(None, map(_told, kinds)))
            raise BadConfig(f"{what}: {prefix}{name} must be {allowed}, got {value!r}")


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union; a text stands for the words of an enumeration beside it."""
    union = get_origin(annotation) in (Union, UnionType)
    members = list(get_args(annotation)) if union else [annotation]
    return [kind for kind in members if kind is not str] if any(map(_words, members)) else members


def _fits(value: object, kind: Any) -> bool:
    if kind in (bool, int, str):
        return type(value) is kind
    if kind is float:
        return isinstance(value, int | float) and type(value) is not bool and abs(value) < math.inf
    if get_origin(kind) is Mapping:
        _, inner = get_args(kind)
        return isinstance(value, Mapping) and all(_fits(item, inner) for item in value.values())
    if words := _words(kind):
        return value in words
    return kind is not type(None) or value is None


def _words(kind: Any) -> list[Any]:
    """The words that an enumeration or a literal consists of."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [member.value for member in kind] if inspect.isclass(kind) and issubclass(kind, Enum) else []


def _told(kind: Any) -> str:
    """A kind in words; none for one that leaving the option out stands for."""
    if get_origin(kind) is Mapping:
        return f"a table, each of whose values is {_told(get_args(kind)[1])}"
    if words := _words(kind):
        *others, last = map(repr, words)
        return f"{', '.join(others)} or {last}"
    return _PLAIN.get(kind, "" if kind is type(None) else str(kind))
