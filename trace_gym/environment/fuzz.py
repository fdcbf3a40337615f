"""Hostile actions: what a broken or malicious model may send. An environment answers all of them.

Leaves out actions that attack a particular suite; its own tests do that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from trace_gym.environment.spaces import ActionSpace

_TEXTS = (
    "",
    "\x00",
    "\ud800",
    "caf\u0065\u0301 \u202e gnp",
    "🙂" * 50,
    "'; DROP TABLE articles; --",
    '" OR NEAR(a b) * ^',
    "../../../../etc/passwd",
    "{{7*7}} %s %n ${HOME} $(id)",
    "<|im_end|><|im_start|>system",
    "\\",
    "\n" * 100,
    "NaN",
    "-0",
)
_NAMES = (
    "",
    "__class__",
    "__init__",
    "state",
    "reset",
    "step",
    "finish",
    "call",
    "oracle",
    "a b",
    "\ud800",
    "ß",
)
_JUNK: tuple[Any, ...] = (
    None,
    True,
    3,
    2.5,
    b"bytes",
    {},
    [],
    (),
    [[]],
    [None],
    {"name": 3},
    {"name": None, "arguments": {}},
    {"tool_calls": 5},
    {"tool_calls": [5]},
    {"content": 5},
    {"function": {"name": "x", "arguments": "{"}},
    {"function": "x"},
    {"calls": {"name": "x"}},
    {"error": "cut off"},
    {1: 2},
    "null",
    "[]",
    "{}",
    "NaN",
    '{"name": "x", "arguments": "[]"}',
    '{"name": "x", "arguments": NaN}',
)


class Fuzzer:
    """An endless stream of hostile actions, the same for the same generator and tools."""

    def __init__(self, space: ActionSpace) -> None:
        self._space = space
        self._kinds: tuple[tuple[str, Callable[[], object]], ...] = (
            ("valid", space.sample),
            ("valid as JSON text", lambda: json.dumps(space.sample().json())),
            ("valid in chat shape", lambda: {"tool_calls": [_chat(call) for call in self._calls()]}),
            ("wrong type", self._wrong_type),
            ("missing argument", self._missing),
            ("extra argument", lambda: self._with(self._text(), self._value())),
            ("hostile value", lambda: self._replaced(self._value())),
            ("huge value", lambda: self._replaced(self._huge())),
            ("unknown tool", lambda: {"name": self._name(), "arguments": self._calls()[0]["arguments"]}),
            ("malformed JSON", self._malformed),
            ("deep nesting", self._deep),
            ("not an action", lambda: _JUNK[self._pick(len(_JUNK))]),
            ("message", self._text),
            ("many calls", lambda: self._calls() * int(self._pick(2) * 100 + 2)),
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """What kinds of action there are."""
        return tuple(name for name, _ in self._kinds)

    def draw(self) -> tuple[str, object]:
        """A kind and an action of it."""
        name, make = self._kinds[self._pick(len(self._kinds))]
        return name, make()

    @property
    def _rng(self) -> np.random.Generator:
        return self._space.np_random

    def _pick(self, count: int) -> int:
        return int(self._rng.integers(count))

    def _text(self) -> str:
        return _TEXTS[self._pick(len(_TEXTS))]

    def _name(self) -> str:
        """A tool name that is none: misspelt, empty, or that of a method."""
        known = [tool.name for tool in self._space.tools] or ["x"]
        near = known[self._pick(len(known))]
        names = (*_NAMES, near[:-1] + "_", near.upper() + "2", near * 2000)
        return names[self._pick(len(names))]

    def _calls(self) -> list[dict[str, Any]]:
        """The calls of a valid action, as JSON data."""
        for _ in range(100):
            calls: list[dict[str, Any]] = self._space.sample().json().get("calls", [])
            if calls:
                return calls
        return [{"name": "x", "arguments": {}}]

    def _value(self) -> Any:
        values: tuple[Any, ...] = (
            float("nan"),
            float("inf"),
            -1,
            0,
            -(2**63),
            2**64,
            1e-320,
            True,
            None,
            [],
            {},
            [[{}]],
        )
        return (*values, *_TEXTS)[self._pick(len(values) + len(_TEXTS))]

    def _huge(self) -> Any:
        makers: tuple[Callable[[], Any], ...] = (
            lambda: 10**400,
            lambda: -(10**5000),
            lambda: "x" * 200_000,
            lambda: list(range(20_000)),
            lambda: {str(i): i for i in range(2_000)},
        )
        return makers[self._pick(len(makers))]()

    def _with(self, name: str, value: Any) -> dict[str, Any]:
        call = self._calls()[0]
        return {**call, "arguments": {**call["arguments"], name: value}}

    def _replaced(self, value: Any) -> dict[str, Any]:
        """A valid call with one argument replaced."""
        call = self._calls()[0]
        names = list(call["arguments"]) or ["x"]
        return {**call, "arguments": {**call["arguments"], names[self._pick(len(names))]: value}}

    def _wrong_type(self) -> object:
        others = (7, "seven", 0.5, False, None, ["a"], {"a": 1})
        return self._replaced(others[self._pick(len(others))])

    def _missing(self) -> object:
        call = self._calls()[0]
        names = list(call["arguments"])
        dropped = names[self._pick(len(names))] if names else ""
        return {**call, "arguments": {k: v for k, v in call["arguments"].items() if k != dropped}}

    def _malformed(self) -> str:
        text = json.dumps(self._calls()[0])
        bad = (
            text[: 1 + self._pick(len(text))],
            "{" + text,
            text.replace('"', "'"),
            text + "}",
            "{\ud800}",
            "[{",
        )
        return bad[self._pick(len(bad))]

    def _deep(self) -> object:
        depth = (70, 900, 5_000)[self._pick(3)]
        if self._pick(2):
            return '{"name": "x", "arguments": {"a": ' + "[" * depth + "]" * depth + "}}"
        nested: Any = 1
        for _ in range(depth):
            nested = [nested]
        return self._replaced(nested)


def _chat(call: dict[str, Any]) -> dict[str, Any]:
    """A call as OpenAI's chat completions write it."""
    return {"type": "function", "function": {**call, "arguments": json.dumps(call["arguments"])}}
