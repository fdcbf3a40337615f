"""Tool calls as lines: `open 3`, `search red fox`, `book nights=2 Rome`.

After the tool's name come `name=value` words, then the values of the required arguments in the order of the
tool's schema; the last of them is the rest of the line. A value stands as it is where its schema reads it
back, else as JSON. Leaves out validation, which is the environment's: a value that its schema cannot read
stays a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from trace_gym.core.action import ToolCall, ToolSpec
from trace_gym_agents.jsontext import read_json

_NAME = r'[^\s="\[{]+'
_NAMED = re.compile(rf"({_NAME})=(?=\S)")
_QUOTED = ('"', "[", "{")
_KINDS = frozenset({"string", "boolean", "integer", "number", "null", "array", "object"})


def parse_line(line: str, spec: ToolSpec) -> ToolCall | str:
    """The call that a line spells, which begins with the tool's name; or what is wrong with it."""
    rest = line.strip()[len(spec.name) :].lstrip()
    kinds, required = _kinds_by_name(spec), _required(spec)
    arguments: dict[str, Any] = {}
    while (named := _NAMED.match(rest)) and named[1] in kinds and named[1] not in arguments:
        word, rest = _word(rest[named.end() :])
        arguments[named[1]] = _read(word, kinds[named[1]])
    waiting = [name for name in required if name not in arguments]
    for name in waiting:
        if not rest:
            break
        word, rest = (rest, "") if name == waiting[-1] else _word(rest)
        arguments[name] = _read(word, kinds[name])
    if rest:
        optional = " ".join(f"{name}=…" for name in kinds if name not in required)
        hint = f"optional values are named: {optional}" if optional else "it takes no more values"
        return f"{spec.name}: {rest[:40]!r} is too much; {hint}"
    return ToolCall(spec.name, arguments)


def spell_line(call: ToolCall, spec: ToolSpec | None = None) -> str:
    """The shortest line that `parse_line` reads back as `call`; without its spec, every argument is named.

    Raises ValueError for an argument that no line can hold: its name is not in the schema, or has blanks,
    quotes, brackets or `=` in it.
    """
    kinds = _kinds_by_name(spec) if spec else dict.fromkeys(call.arguments, _KINDS)
    required = _required(spec) if spec else []
    for name in call.arguments:
        if name not in kinds or not re.fullmatch(_NAME, name):
            raise ValueError(f"argument {name!r} of {call.name!r} cannot be written in a line")
    missing = [name for name in required if name not in call.arguments]
    bare = required[: required.index(missing[0])] if missing else required
    named = {name: value for name, value in call.arguments.items() if name not in bare}
    waiting = [name for name in required if name not in named]
    words = [f"{name}={_spell(value, kinds[name], last=False)}" for name, value in named.items()]
    words += [_spell(call.arguments[name], kinds[name], last=name == waiting[-1]) for name in bare]
    return " ".join([call.name, *words])


def _word(text: str) -> tuple[str, str]:
    """The first value of `text`, which is not blank, and what follows it."""
    if text.startswith(_QUOTED):
        try:
            _, end = read_json(text)
        except ValueError:
            end = 0
        if end and not text[end : end + 1].strip():
            return text[:end], text[end:].lstrip()
    word, *rest = text.split(None, 1)
    return word, rest[0] if rest else ""


def _read(word: str, kinds: frozenset[str]) -> Any:
    """The value that a word spells for a schema of these kinds; the word itself if it spells none."""
    if kinds == {"string"} and not word.startswith('"'):
        return word
    if "string" not in kinds and word in ("True", "False"):
        word = word.lower()
    try:
        value, end = read_json(word)
    except ValueError:
        return word
    return value if end == len(word) and not kinds.isdisjoint(_kinds_of(value)) else word


def _spell(value: Any, kinds: frozenset[str], *, last: bool) -> str:
    """A value as `_read` reads it back; the `last` one may hold blanks."""
    if isinstance(value, str):
        whole = value == value.strip() and "\n" not in value if last else value.split() == [value]
        plain = value and whole and not value.startswith(_QUOTED) and not _NAMED.match(value)
        if plain and _read(value, kinds) == value:
            return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _kinds_of(value: Any) -> set[str]:
    """The JSON Schema types that a JSON value has."""
    match value:
        case None:
            return {"null"}
        case bool():
            return {"boolean"}
        case int():
            return {"integer", "number"}
        case float():
            return {"integer", "number"} if value.is_integer() else {"number"}
        case str():
            return {"string"}
        case list():
            return {"array"}
    return {"object"}


def _kinds(schema: Any, root: Mapping[str, Any]) -> frozenset[str]:
    """The JSON Schema types that a schema admits, as far as its own keywords tell."""
    if not isinstance(schema, Mapping):
        return _KINDS
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        definition = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
        return _kinds(definition, root) if "$ref" not in definition else _KINDS
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return frozenset().union(*(_kinds(inner, root) for inner in schema[key]))
    if "type" in schema:
        kind = schema["type"]
        return frozenset([kind] if isinstance(kind, str) else kind) & _KINDS or _KINDS
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    return frozenset().union(*map(_kinds_of, values)) if values else _KINDS


def _kinds_by_name(spec: ToolSpec) -> dict[str, frozenset[str]]:
    properties: Mapping[str, Any] = spec.parameters.get("properties", {})
    return {name: _kinds(schema, spec.parameters) for name, schema in properties.items()}


def _required(spec: ToolSpec) -> list[str]:
    """The required arguments in the order of the schema's properties."""
    required = spec.parameters.get("required", ())
    return [name for name in spec.parameters.get("properties", {}) if name in required]
