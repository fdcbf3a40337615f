"""The tools usable at one moment, compiled to check calls: what is wrong is said exactly, never raised far.

Leaves out running the calls, which is the environment's matter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.validators import extend

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.environment.tools import ToolError

MAX_DEPTH = 64
MAX_VALUES = 10_000
MAX_TEXT = 1_000_000
_LARGEST = 10**308
_SHOWN = 80
_TYPES = {
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


def _integer(_checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_CHECKER = Draft202012Validator.TYPE_CHECKER.redefine("integer", _integer)
_Validator: Any = extend(Draft202012Validator, type_checker=_CHECKER)  # type: ignore[no-untyped-call]


class Toolbox:
    """Checks calls against tool specifications (JSON Schema, Draft 2020-12).

    Stricter than the standard in one point: 3.0 and true are not integers. Invariant: `specs` never change;
    each schema is compiled at its first use.
    """

    def __init__(self, specs: Sequence[ToolSpec]) -> None:
        self.specs = tuple(specs)
        self._by_name = {spec.name: spec for spec in self.specs}
        self._validators: dict[str, Any] = {}
        if len(self._by_name) != len(self.specs):
            names = [spec.name for spec in self.specs]
            raise ValueError(f"tool names must differ, got {sorted(n for n in names if names.count(n) > 1)}")

    def __reduce__(self) -> tuple[type[Toolbox], tuple[tuple[ToolSpec, ...]]]:
        return Toolbox, (self.specs,)

    @property
    def names(self) -> tuple[str, ...]:
        """The tools' names, in order."""
        return tuple(self._by_name)

    def arguments(self, call: ToolCall) -> dict[str, Any]:
        """The call's arguments as a deep copy of plain JSON data, if the call is valid.

        Raises ToolError saying which tool, which argument, what came and what is allowed.
        """
        if not isinstance(call.name, str) or not isinstance(call.arguments, Mapping):
            raise ToolError("A call needs a tool's name and its arguments by name.")
        spec = self._by_name.get(call.name)
        if spec is None:
            raise ToolError(self._unknown_tool(call.name))
        arguments = _plain(call.arguments, spec.name)
        problems = [_explain(error) for error in self._validator(spec).iter_errors(arguments)]
        if problems:
            raise ToolError(f"{spec.name}: {'; '.join(problems[:3])}. Usage: {usage(spec)}")
        return arguments

    def _validator(self, spec: ToolSpec) -> Any:
        if spec.name not in self._validators:
            self._validators[spec.name] = _Validator(dict(spec.parameters))
        return self._validators[spec.name]

    def _unknown_tool(self, name: str) -> str:
        near = get_close_matches(name[:_SHOWN], self.names, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"There is no tool {shown(name)}.{hint} Tools: {', '.join(self.names) or 'none'}."


def flaw(spec: ToolSpec) -> str | None:
    """What is wrong with a specification itself; None if nothing is."""
    try:
        Draft202012Validator.check_schema(dict(spec.parameters))
    except SchemaError as error:
        return f"tool {spec.name!r} has an invalid schema: {error.message}"
    if spec.parameters.get("type") != "object":
        return f"tool {spec.name!r}: the schema of its parameters must be of type object"
    return None if spec.description.strip() else f"tool {spec.name!r} has no description"


def usage(spec: ToolSpec) -> str:
    """A tool's signature in one line; optional arguments carry a question mark."""
    required = spec.parameters.get("required", ())
    parts = [
        f"{name}{'' if name in required else '?'}: {_kind(schema)}"
        for name, schema in spec.parameters.get("properties", {}).items()
    ]
    return f"{spec.name}({', '.join(parts)})"


def shown(value: object) -> str:
    """A value as short printable text, whatever it is."""
    if isinstance(value, str):
        text = repr(value[: _SHOWN + 1])
    elif isinstance(value, (bool, float)) or value is None:
        text = json.dumps(value)
    elif isinstance(value, int):
        text = repr(value) if abs(value) < 10**_SHOWN else f"an integer of {value.bit_length()} bits"
    elif isinstance(value, (list, tuple)):
        text = f"a list of {len(value)}"
    elif isinstance(value, Mapping):
        text = f"an object of {len(value)}"
    else:
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def brief(action: Action) -> str:
    """An action in one short line."""
    if not action.calls:
        return shown(action.error if action.message is None else action.message)
    arguments = [", ".join(f"{k}={shown(v)}" for k, v in call.arguments.items()) for call in action.calls]
    return "; ".join(f"{call.name}({given})" for call, given in zip(action.calls, arguments, strict=True))


def _plain(arguments: Mapping[str, Any], tool: str) -> dict[str, Any]:
    """A deep copy of `arguments`, refused unless it is JSON data of sane depth and size."""
    count = 0

    def copy(value: Any, depth: int, where: str) -> Any:
        nonlocal count
        count += 1
        if count + (len(value) if isinstance(value, (list, tuple, Mapping)) else 0) > MAX_VALUES:
            raise ToolError(f"{tool}: the arguments hold more than {MAX_VALUES} values.")
        if depth > MAX_DEPTH:
            raise ToolError(f"{tool}: the arguments are nested more than {MAX_DEPTH} levels deep.")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return _text(value, tool, where)
        if isinstance(value, (int, float)):
            if (isinstance(value, float) and not math.isfinite(value)) or abs(value) >= _LARGEST:
                raise ToolError(f"{tool}: {where} is not a finite number below 1e308: {shown(value)}.")
            return value
        if isinstance(value, (list, tuple)):
            return [copy(item, depth + 1, where) for item in value]
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    raise ToolError(f"{tool}: {where}: names must be strings, got {shown(key)}.")
                _text(key, tool, where)
            return {key: copy(item, depth + 1, where) for key, item in value.items()}
        raise ToolError(f"{tool}: {where} is not JSON data: {shown(value)}.")

    plain: dict[str, Any] = {}
    for name, value in arguments.items():
        if not isinstance(name, str):
            raise ToolError(f"{tool}: argument names must be strings, got {shown(name)}.")
        plain[_text(name, tool, "an argument name")] = copy(value, 1, f"argument {shown(name)}")
    return plain


def _text(value: str, tool: str, where: str) -> str:
    if len(value) > MAX_TEXT:
        raise ToolError(f"{tool}: {where} is longer than {MAX_TEXT} characters.")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            code = f"U+{ord(value[error.start]):04X} at position {error.start}"
            raise ToolError(f"{tool}: {where} is not valid Unicode text: {code}.") from error
    return value


def _explain(error: Any) -> str:
    """A jsonschema ValidationError in words (`Any`: its fields are typed as possibly unset)."""
    path = ".".join(str(part) for part in error.absolute_path)
    where = f"argument {path!r}" if path else "the arguments"
    came, rule = shown(error.instance), error.validator_value
    match error.validator:
        case "required":
            missing = [name for name in rule if name not in error.instance]
            inside = f" in argument {path!r}" if path else ""
            return f"missing {_names(missing)}{inside}"
        case "additionalProperties" if rule is False:
            known = list(error.schema.get("properties", {}))
            extra = [name for name in error.instance if name not in known]
            near = get_close_matches(extra[0][:_SHOWN], known, n=1, cutoff=0.5)
            hint = f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known) or 'none'}"
            return f"unknown {_names(extra)}{hint}"
        case "type":
            return f"{where} must be {_either(rule)}, got {came}"
        case "enum":
            return f"{where} must be one of {', '.join(shown(v) for v in rule)}; got {came}"
        case "const":
            return f"{where} must be {shown(rule)}, got {came}"
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            words = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above"}
            return f"{where} must be {words.get(error.validator, 'below')} {rule}, got {came}"
        case "anyOf" | "oneOf":
            return f"{where} must be {_kind(error.schema)}, got {came}"
        case keyword:
            return f"{where} breaks {keyword} {shown(rule)}: {came}"


def _names(names: Sequence[str]) -> str:
    listed = ", ".join(shown(name) for name in names[:5])
    return f"argument {listed}" if len(names) == 1 else f"arguments {listed}"


def _either(rule: str | Sequence[str]) -> str:
    kinds = [rule] if isinstance(rule, str) else rule
    return " or ".join(_TYPES.get(kind, kind) for kind in kinds)


def _kind(schema: Any) -> str:
    """A schema in a word or two."""
    if not isinstance(schema, Mapping):
        return "any"
    if "enum" in schema:
        return " | ".join(shown(value) for value in schema["enum"])
    if "const" in schema:
        return shown(schema["const"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_kind(inner) for inner in schema[key])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    kind = schema.get("type", "any")
    return kind if isinstance(kind, str) else " or ".join(kind)
