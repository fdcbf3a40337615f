"""A tool in one line: `book(city: str, nights: int = 2)`. Leaves out what the arguments mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trace_gym.core.action import ToolSpec

_WORDS = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
    "null": "null",
}
_CHOICES = 8


def signature(spec: ToolSpec) -> str:
    """The tool's name and arguments with their types; what need not be given has its default, or `?`."""
    properties: Mapping[str, Any] = spec.parameters.get("properties", {})
    required = spec.parameters.get("required", ())
    return f"{spec.name}({', '.join(_argument(n, s, n in required) for n, s in properties.items())})"


def _argument(name: str, schema: Any, required: bool) -> str:
    if required or not isinstance(schema, Mapping):
        return f"{name}{'' if required else '?'}: {type_word(schema)}"
    if schema.get("default") is None:
        return f"{name}?: {type_word(schema)}"
    return f"{name}: {type_word(schema)} = {json.dumps(schema['default'], ensure_ascii=False)}"


def type_word(schema: Any) -> str:
    """A schema in as few words as tell what to write."""
    if not isinstance(schema, Mapping):
        return "any"
    if schema.get("enum"):
        choices = [json.dumps(choice, ensure_ascii=False) for choice in schema["enum"]]
        return "|".join(choices[:_CHOICES]) + "|…" * (len(choices) > _CHOICES)
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return "|".join(type_word(inner) for inner in schema[key])
    kind = schema.get("type", "any")
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        return f"list[{type_word(schema['items'])}]"
    if kind == "object" and schema.get("properties"):
        inner = (f"{name}: {type_word(value)}" for name, value in schema["properties"].items())
        return "{" + ", ".join(inner) + "}"
    kinds = [kind] if isinstance(kind, str) else kind
    return "|".join(_WORDS.get(each, each) for each in kinds)
