"""Tools: a typed method with a docstring becomes a ToolSpec that a model can be shown.

Checking what a model then sends is the toolbox's matter.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from trace_gym.core.action import ToolSpec

F = TypeVar("F", bound=Callable[..., str])

_MARK = "__trace_gym_tool__"
_SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Examples?|Notes?):\s*$")
_ENTRY = re.compile(r"^(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")


class ToolError(Exception):
    """Raised by a tool to refuse a call: its text becomes the observation and the episode goes on."""


def tool(method: F) -> F:
    """Mark a method of an AgenticEnv as a tool.

    The method's parameters are annotated with JSON-like types (int, float, bool, str, lists, mappings,
    `Literal`, enums, `Annotated[..., Field(...)]`), it returns the observation as a string, and its docstring
    has a one-line summary and an `Args:` section that describes every parameter. The tool's name is the
    method's.
    """
    setattr(method, _MARK, True)
    return method


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool method: what the model sees of it, and the model class that turns JSON arguments into Python
    ones. `fields` maps parameter names to that class's field names."""

    spec: ToolSpec
    model: type[BaseModel]
    fields: Mapping[str, str]

    def convert(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments of the method; parameters left out keep the method's defaults.

        Raises ToolError where a value has the right JSON shape but no meaning for the annotated type.
        """
        try:
            values = self.model.model_validate(dict(arguments))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ToolError(f"{self.spec.name}: argument {where!r}: {first['msg']}.") from error
        return {
            name: getattr(values, field)
            for name, field in self.fields.items()
            if field in values.model_fields_set
        }


def tools_of(owner: type) -> dict[str, Tool]:
    """All tools of a class by name, in order of definition, inherited ones first.

    Raises ValueError for a tool method that cannot be described: an unannotated or undocumented parameter,
    a missing summary, variadic parameters, a return annotation other than str.
    """
    names = dict.fromkeys(name for base in reversed(owner.__mro__) for name in vars(base))
    marked = ((name, inspect.getattr_static(owner, name)) for name in names)
    return {name: _tool(owner, name, method) for name, method in marked if getattr(method, _MARK, False)}


def _tool(owner: type, name: str, method: Callable[..., str]) -> Tool:
    where = f"tool {owner.__name__}.{name}"
    hints = get_type_hints(method, include_extras=True)
    if hints.pop("return", None) is not str:
        raise ValueError(f"{where} must be annotated to return str")
    description, documented = _docstring(method, where)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    definitions: dict[str, Any] = {}
    for position, parameter in enumerate(parameters):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ValueError(f"{where}: parameter {parameter.name!r} must be an ordinary named parameter")
        if parameter.name not in hints:
            raise ValueError(f"{where}: parameter {parameter.name!r} needs a type annotation")
        if parameter.name not in documented:
            raise ValueError(f"{where}: parameter {parameter.name!r} is not described in the Args section")
        default = ... if parameter.default is parameter.empty else parameter.default
        about = Field(default, alias=parameter.name, description=documented.pop(parameter.name))
        definitions[f"argument_{position}"] = (hints[parameter.name], about)
    if documented:
        raise ValueError(f"{where}: the Args section describes {sorted(documented)}, which it does not take")
    model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **definitions)
    spec = ToolSpec(name, description, _schema(model))
    return Tool(spec, model, {p.name: f"argument_{i}" for i, p in enumerate(parameters)})


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON Schema in the usual order of keys, without the generated titles."""
    raw = _untitled(model.model_json_schema(by_alias=True))
    schema = {"type": "object", "properties": raw.get("properties", {})}
    schema |= {key: raw[key] for key in ("required", "$defs") if key in raw}
    return {**schema, "additionalProperties": False}


def _untitled(schema: Any) -> Any:
    """A copy of a JSON Schema without `title` keywords (properties *named* title stay)."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            kept[key] = {name: _untitled(inner) for name, inner in value.items()}
        elif key in ("default", "const", "enum", "examples"):
            kept[key] = value
        elif key != "title":
            kept[key] = _untitled(value)
    return kept


def _docstring(method: Callable[..., str], where: str) -> tuple[str, dict[str, str]]:
    """The text before the first section as one paragraph, and the entries of the Args section."""
    lines = inspect.cleandoc(method.__doc__ or "").splitlines()
    summary: list[str] = []
    entries: dict[str, str] = {}
    section, current = "", ""
    for line in lines:
        heading = _SECTION.match(line)
        if heading:
            section = heading.group(1)
        elif not section:
            summary.append(line.strip())
        elif section == "Args" and line.strip():
            entry = _ENTRY.match(line.strip()) if _indent(line) <= 4 else None
            if entry:
                current = entry.group(1)
                entries[current] = entry.group(2)
            elif current:
                entries[current] += " " + line.strip()
    text = " ".join(part for part in summary if part)
    if not text:
        raise ValueError(f"{where} needs a docstring with a one-line summary")
    return text, {name: about.strip() for name, about in entries.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
