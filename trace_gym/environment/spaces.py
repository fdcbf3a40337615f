"""Gymnasium spaces of text and of tool calls. Sampling obeys the tools' JSON Schemas, so a random agent and
a fuzzer are free.

Leaves out the schema keywords `pattern`, `not`, `if` and `dependentSchemas`: where a schema has them, samples
come from its `examples`, or are drawn again until one fits.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.environment.toolbox import Toolbox
from trace_gym.environment.tools import ToolError

_WIDE = string.ascii_letters + string.digits + " .,_-'\"/\\\n\täßéçñ漢字かなЖ🙂\u200b"
_DEPTH = 4
_TRIES = 100


class UnicodeText(gymnasium.Space[str]):
    """Every string, of any length and alphabet."""

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """A random text of at most 40 characters."""
        _no_mask(mask, probability)
        return _text(self.np_random, 0, 40)

    def contains(self, x: Any) -> bool:
        """Is it a string?"""
        return isinstance(x, str)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText)

    def __repr__(self) -> str:
        return "UnicodeText()"


class ActionSpace(gymnasium.Space[Action]):
    """All valid actions over a set of tools: calls whose arguments fit the tool's schema, and messages.

    Two spaces over equal tools are equal. `messages` is the share of samples that are messages, `several`
    the share that are two calls.
    """

    def __init__(
        self,
        tools: Sequence[ToolSpec],
        *,
        messages: float = 0.1,
        several: float = 0.05,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        super().__init__(seed=seed)
        self.tools = tuple(tools)
        self.messages = messages
        self.several = several
        self._toolbox = Toolbox(self.tools)

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> Action:
        """A valid action: integers and enums uniform within bounds, optional arguments half of the time.

        Raises ValueError naming the tool if no valid arguments could be drawn.
        """
        _no_mask(mask, probability)
        draw = float(self.np_random.random())
        if not self.tools or draw < self.messages:
            return Action(message=_text(self.np_random, 0, 40))
        count = 2 if draw < self.messages + self.several else 1
        return Action(calls=tuple(self._call() for _ in range(count)))

    def contains(self, x: Any) -> bool:
        """Would an environment with these tools accept the action without complaint?"""
        action = Action.parse(x)
        try:
            for call in action.calls:
                self._toolbox.arguments(call)
        except ToolError:
            return False
        return action.error is None

    def to_jsonable(self, sample_n: Iterable[Action]) -> list[Any]:
        """The actions as JSON data."""
        return [action.json() for action in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[Action]:
        """What `to_jsonable` wrote."""
        return [Action.parse(item) for item in sample_n]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionSpace) and self.tools == other.tools

    def __repr__(self) -> str:
        return f"ActionSpace({', '.join(tool.name for tool in self.tools)})"

    def _call(self) -> ToolCall:
        spec = self.tools[int(self.np_random.integers(len(self.tools)))]
        for _ in range(_TRIES):
            call = ToolCall(spec.name, sample_json(spec.parameters, self.np_random))
            try:
                self._toolbox.arguments(call)
            except ToolError:
                continue
            return call
        raise ValueError(f"no valid arguments for tool {spec.name!r} could be drawn; give `examples`")


def sample_json(schema: Mapping[str, Any], rng: np.random.Generator) -> Any:
    """JSON data drawn for a JSON Schema, which it fits unless the schema has keywords named above."""
    return _draw(schema, schema, rng, 0)


def _draw(schema: Any, root: Mapping[str, Any], rng: np.random.Generator, depth: int) -> Any:
    if not isinstance(schema, Mapping):
        return _any(rng)
    if "$ref" in schema:
        return _draw(_resolve(str(schema["$ref"]), root), root, rng, depth)
    if "const" in schema:
        return schema["const"]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][int(rng.integers(len(schema[key])))]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            rest = {name: value for name, value in schema.items() if name != key}
            options = [option for option in schema[key] if depth < _DEPTH or _flat(option)] or schema[key]
            return _draw({**rest, **options[int(rng.integers(len(options)))]}, root, rng, depth)
    if "allOf" in schema:
        merged = {name: value for name, value in schema.items() if name != "allOf"}
        for part in schema["allOf"]:
            merged |= _resolve(str(part["$ref"]), root) if "$ref" in part else part
        return _draw(merged, root, rng, depth)
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        kind = kind[int(rng.integers(len(kind)))]
    match kind:
        case "integer" | "number":
            return _number(schema, rng, whole=kind == "integer")
        case "string":
            low = int(schema.get("minLength", 0))
            return _text(rng, low, int(schema.get("maxLength", low + 12)))
        case "boolean":
            return bool(rng.integers(2))
        case "null":
            return None
        case "array":
            return _array(schema, root, rng, depth)
        case "object":
            return _object(schema, root, rng, depth)
        case _:
            return _any(rng)


def _flat(schema: Mapping[str, Any]) -> bool:
    """Can the schema be drawn without going deeper?"""
    return not schema.keys() & {"$ref", "items", "prefixItems", "properties", "additionalProperties"}


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    """The part of the root schema that a local reference (`#/$defs/Name`) points at."""
    node: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")] if part else node
    return node


def _number(schema: Mapping[str, Any], rng: np.random.Generator, *, whole: bool) -> int | float:
    """Uniform between the bounds; an open end reaches 100 beyond the other, or lies at -10 or 100."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    floor, ceiling = _first(low, above), _first(high, below)
    start = floor if floor is not None else min(-10, ceiling - 100 if ceiling is not None else -10)
    stop = ceiling if ceiling is not None else max(100, start + 100)
    step = schema.get("multipleOf", 1 if whole else None)
    if step is None:
        value = start + (stop - start) * float(rng.uniform(0.001, 0.999))
        return value
    first = math.floor(start / step) + 1 if low is None and above is not None else math.ceil(start / step)
    last = math.ceil(stop / step) - 1 if high is None and below is not None else math.floor(stop / step)
    width = max(0, last - first) + 1
    steps = first + (int(rng.integers(width)) if width < 2**63 else int(float(rng.random()) * width))
    return int(steps * step) if whole else steps * step


def _array(
    schema: Mapping[str, Any], root: Mapping[str, Any], rng: np.random.Generator, depth: int
) -> list[Any]:
    head = [_draw(item, root, rng, depth + 1) for item in schema.get("prefixItems", ())]
    low = max(int(schema.get("minItems", 0)), len(head))
    rest = schema.get("items", not head)
    high = len(head) if rest is False else min(int(schema.get("maxItems", low + 3)), low + 3)
    size = low if depth >= _DEPTH else int(rng.integers(low, high + 1))
    items = list(head)
    for _ in range(_TRIES):
        if len(items) >= size:
            break
        item = _draw(rest, root, rng, depth + 1)
        if not schema.get("uniqueItems") or item not in items:
            items.append(item)
    return items


def _object(
    schema: Mapping[str, Any], root: Mapping[str, Any], rng: np.random.Generator, depth: int
) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    drawn: dict[str, Any] = {}
    for name, inner in schema.get("properties", {}).items():
        if name in required or (depth < _DEPTH and rng.random() < 0.5):
            drawn[name] = _draw(inner, root, rng, depth + 1)
    extra = schema.get("additionalProperties", False)
    missing = int(schema.get("minProperties", 0)) - len(drawn)
    for _ in range(max(missing, 0 if extra is False else int(rng.integers(3)))):
        name = _text(rng, 1, 8)
        while name in drawn:
            name = _text(rng, 1, 8)
        drawn[name] = _draw(extra, root, rng, depth + 1)
    return drawn


def _any(rng: np.random.Generator) -> Any:
    choices: tuple[Any, ...] = (None, True, int(rng.integers(-10, 101)), _text(rng, 0, 12), [], {})
    return choices[int(rng.integers(len(choices)))]


def _text(rng: np.random.Generator, low: int, high: int) -> str:
    """Mostly lower-case letters, at times anything printable; `low` to `high` characters."""
    size = int(rng.integers(low, min(high, low + 200) + 1))
    alphabet = string.ascii_lowercase if rng.random() < 0.7 else _WIDE
    return "".join(alphabet[i] for i in rng.integers(len(alphabet), size=size))


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _no_mask(mask: Any | None, probability: Any | None) -> None:
    if mask is not None or probability is not None:
        raise ValueError("this space takes neither a mask nor a probability")
