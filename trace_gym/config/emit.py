"""Data as TOML text that `tomllib` reads back. Leaves out dates, which no configuration has, and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def toml(data: Mapping[str, Any]) -> str:
    """The text of a table: its plain keys first, then a section for every table in it. Raises ValueError for
    what TOML cannot spell, None among it."""
    return "\n".join(_table(data, ())).strip() + "\n"


def _table(data: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    sections = {name: value for name, value in data.items() if _is_section(value)}
    for name, value in data.items():
        if name not in sections:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in sections.items():
        here = (*path, name)
        heading = ".".join(map(_key, here))
        for item in [value] if isinstance(value, Mapping) else value:
            yield ""
            yield f"[{heading}]" if isinstance(value, Mapping) else f"[[{heading}]]"
            yield from _table(item, here)


def _is_section(value: object) -> bool:
    """Is it a table, or a list of nothing but tables?"""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    raise ValueError(f"TOML has no word for {value!r}")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _string(text: str) -> str:
    return '"' + "".join(_character(character) for character in text) + '"'


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\u{ord(character):04x}" if ord(character) < 0x20 or character == "\x7f" else character
