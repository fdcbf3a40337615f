"""The reference of a task: its calls, and what they lead to when they are played.

Reference calls come with the benchmark as Python expressions; they are parsed as literals, never evaluated.
Leaves out comparing, which is the checker's matter.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from trace_gym.core.action import ToolCall
from trace_gym.core.errors import MalformedData
from trace_gym.core.task import Task
from trace_gym_envs.bfcl.backends import Backends, attributes


@dataclass(frozen=True, slots=True)
class GoldTurn:
    """What the reference does in one user turn: its calls, their results, and the public attributes of every
    service when the turn ends (by class name). A turn without calls is not compared: no state is kept."""

    calls: tuple[ToolCall, ...]
    responses: tuple[str, ...]
    state: Mapping[str, Mapping[str, Any]]


def play_gold(task: Task, backends: Backends) -> tuple[GoldTurn, ...]:
    """Play a task's reference from the start, turn by turn. Raises MalformedData."""
    payload = task.payload
    world = backends.open(payload["classes"], payload["config"], long_context=payload["long_context"])
    turns: list[GoldTurn] = []
    for expressions in payload["gold"]:
        calls = tuple(parse_call(text, backends, source=payload["entry"]) for text in expressions)
        responses = tuple(backends.call(world, call.name, call.arguments) for call in calls)
        shown = {name: attributes(service) for name, service in world.items()} if calls else {}
        turns.append(GoldTurn(calls, responses, deepcopy(shown)))
    return tuple(turns)


def parse_call(expression: str, backends: Backends, *, source: str) -> ToolCall:
    """`f(1, b='x')` as a tool call with all arguments by name. Raises MalformedData, naming the `source`."""
    try:
        node = ast.parse(expression.strip(), mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise ValueError("a call of a function by its name is needed")
        if node.func.id not in backends.tools:
            raise ValueError(f"there is no function {node.func.id!r}")
        names = backends.parameters(node.func.id)
        arguments = {name: ast.literal_eval(value) for name, value in zip(names, node.args, strict=False)}
        arguments |= {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in node.keywords}
        if len(arguments) != len(node.args) + len(node.keywords) or not set(arguments) <= set(names):
            raise ValueError(f"the parameters are {', '.join(names) or 'none'}")
        return ToolCall(node.func.id, json.loads(json.dumps(arguments)))
    except (SyntaxError, TypeError, ValueError) as error:
        raise MalformedData(f"{source}, field 'ground_truth': {expression!r}: {error}") from error
