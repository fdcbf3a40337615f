"""What an agent does in one turn: tool calls, or a message, or something that could not be understood."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it; `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]

    def openai(self) -> dict[str, Any]:
        """The tool in the OpenAI chat shape."""
        function = {"name": self.name, "description": self.description}
        return {"type": "function", "function": {**function, "parameters": dict(self.parameters)}}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call: a tool's name and its arguments by name."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Action:
    """One turn of an agent: one or more tool calls, else a message, else an `error`.

    `error` says why the agent's output could not be understood. It is an ordinary action: the
    environment answers with the reason and the episode goes on.
    """

    calls: tuple[ToolCall, ...] = ()
    message: str | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if not self.calls and self.message is None and self.error is None:
            raise ValueError("an action holds tool calls, a message or an error; got none of them")

    @classmethod
    def call(cls, name: str, /, **arguments: Any) -> Action:
        """An action of one tool call."""
        return cls(calls=(ToolCall(name, arguments),))

    @classmethod
    def parse(cls, raw: object) -> Action:
        """An action from what a caller may hand to `step`; never raises.

        Accepts an Action; a mapping `{"name":…, "arguments":…}`, `{"tool_calls": […]}` (OpenAI,
        arguments as object or as JSON text) or `{"content"|"message": …}`; a list of calls; or the
        same as JSON text. Text that is not JSON is a message. Changing `raw` afterwards changes no action.
        """
        if isinstance(raw, Action):
            return raw
        if isinstance(raw, str):
            try:
                decoded = json.loads(raw)
            except ValueError as error:
                if raw.lstrip()[:1] in ("{", "["):
                    return cls(error=f"the action is not valid JSON: {error}")
                return cls(message=raw)
            except RecursionError:
                return cls(error="the action is not valid JSON: it is nested too deeply")
            return cls.parse(decoded) if isinstance(decoded, (dict, list)) else cls(message=raw)
        if isinstance(raw, Mapping):
            if raw.get("tool_calls"):
                return cls.parse(raw["tool_calls"])
            if raw.get("calls"):
                return cls.parse(raw["calls"])
            for key in ("content", "message"):
                if isinstance(raw.get(key), str):
                    return cls(message=raw[key])
            if isinstance(raw.get("error"), str):
                return cls(error=raw["error"])
            raw = [raw]
        if isinstance(raw, (list, tuple)) and raw:
            calls: list[ToolCall] = []
            for item in raw:
                call = _call(item)
                if isinstance(call, str):
                    return cls(error=call)
                calls.append(call)
            return cls(calls=tuple(calls))
        return cls(error=f"an action is a tool call or a message; got {type(raw).__name__}")

    def json(self) -> dict[str, Any]:
        """The action as JSON data; `parse` reads it back."""
        if self.calls:
            return {"calls": [{"name": c.name, "arguments": dict(c.arguments)} for c in self.calls]}
        if self.message is not None:
            return {"message": self.message}
        return {"error": self.error}


def _call(item: object) -> ToolCall | str:
    """A tool call from JSON data, or the reason why it is none."""
    if isinstance(item, ToolCall):
        return item
    if not isinstance(item, Mapping):
        return f"a tool call is an object with a name and arguments; got {type(item).__name__}"
    inner = item.get("function", item)
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        return "a tool call needs a string 'name'"
    arguments = inner.get("arguments", inner.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError) as error:
            return f"the arguments of {inner['name']!r} are not valid JSON: {error}"
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        return f"the arguments of {inner['name']!r} must be an object; got {type(arguments).__name__}"
    try:
        return ToolCall(inner["name"], _own(arguments))
    except RecursionError:
        return f"the arguments of {inner['name']!r} are nested too deeply"


def _own(value: Any) -> Any:
    """JSON data that its giver can change no more; what else may be in it is left as it is."""
    if isinstance(value, Mapping):
        return {key: _own(inner) for key, inner in value.items()}
    return [_own(inner) for inner in value] if isinstance(value, list) else value
