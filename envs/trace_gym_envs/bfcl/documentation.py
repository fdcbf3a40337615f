"""The benchmark's function documentation as tool specifications in standard JSON Schema.

The documents name types of Python (`dict`, `float`, `tuple`) and give absent defaults as the string
"None"; a schema here has JSON types, no such defaults, and admits no arguments that are not described.
Left out: what a function returns, which most clients of the benchmark do not show either.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trace_gym.core.action import ToolSpec
from trace_gym.environment.dataset import Record, read_jsonl
from trace_gym_envs.bfcl.wheel import load

_TYPES = {
    "dict": "object",
    "float": "number",
    "tuple": "array",
    "list": "array",
    "bool": "boolean",
    "object": "object",
    "number": "number",
    "array": "array",
    "boolean": "boolean",
    "integer": "integer",
    "string": "string",
}

# The reference of dialogue 173 closes the ticket "ticket_001": with an integer alone nobody could solve it.
_ALSO_STRING = ("close_ticket", "ticket_id")

_INTRODUCTION_END = " Tool description: "


def read_specs(root: Path) -> dict[str, tuple[ToolSpec, ...]]:
    """The tools of every service that has documentation, by class name, in the order of the documents.

    Raises MalformedData.
    """
    files: Mapping[str, str] = load(
        root, "constants.executable_backend_config"
    ).MULTI_TURN_FUNC_DOC_FILE_MAPPING
    folder = root / "bfcl_eval" / "data" / "multi_turn_func_doc"
    return {
        service: tuple(_spec(record) for record in read_jsonl(folder / file))
        for service, file in files.items()
        if "memory" not in file and "web_search" not in file
    }


def brief(spec: ToolSpec) -> ToolSpec:
    """The tool without the sentence about its service that opens every description."""
    return ToolSpec(spec.name, spec.description.rpartition(_INTRODUCTION_END)[2], spec.parameters)


def _spec(record: Record) -> ToolSpec:
    name = record.get("name", str)
    parameters = _schema(record.get("parameters", dict), record, "parameters")
    if _ALSO_STRING[0] == name:
        parameters["properties"][_ALSO_STRING[1]]["type"] = ["integer", "string"]
    return ToolSpec(name, record.get("description", str), parameters)


def _schema(document: Mapping[str, Any], record: Record, where: str) -> dict[str, Any]:
    """One documented type, and all inside it, in JSON Schema."""
    kind = document.get("type")
    if kind not in _TYPES:
        raise record.malformed(where, f"has the type {kind!r}; known: {', '.join(sorted(_TYPES))}")
    schema: dict[str, Any] = {"type": _TYPES[kind]}
    if "description" in document:
        schema["description"] = str(document["description"]).strip()
    if "default" in document and document["default"] != "None":
        schema["default"] = document["default"]
    if "items" in document:
        schema["items"] = _schema(document["items"], record, f"{where}.items")
    if "properties" in document:
        schema["properties"] = {
            name: _schema(inner, record, f"{where}.{name}") for name, inner in document["properties"].items()
        }
        schema |= {"required": list(document.get("required", ())), "additionalProperties": False}
    return schema
