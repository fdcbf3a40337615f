"""Views as OpenAI chat messages, and a chat message as a move. Leaves out how they travel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trace_gym.core.action import Action
from trace_gym.core.agent import Move, View
from trace_gym.core.budget import Cost
from trace_gym.core.episode import Turn

TOGETHER = "(answered together with the last call)"


def messages_of(view: View, *, system: str | None = None) -> list[dict[str, Any]]:
    """The conversation so far: the task as the user's words, then each turn and what came of it."""
    said: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    said.append({"role": "user", "content": view.turns[0].observation})
    for number, turn in enumerate(view.turns[1:], start=1):
        said += _exchange(turn, number)
    return said


def move_of(message: Mapping[str, Any], cost: Cost) -> Move:
    """What an assistant's message does: its tool calls, else its text as a message.

    Raises KeyError, TypeError where it is no chat message.
    """
    calls = message.get("tool_calls") or []
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        raise TypeError(f"content must be text, got {type(content).__name__}")
    action = Action.parse(list(calls)) if calls else Action(message=content or "")
    kept: dict[str, Any] = {"content": content}
    if calls:
        kept["tool_calls"] = list(calls)
    return Move(action, text=json.dumps(kept, ensure_ascii=False), cost=cost)


def _exchange(turn: Turn, number: int) -> list[dict[str, Any]]:
    action = turn.action
    if action is None or not action.calls:
        said = action.message if action is not None and action.message is not None else turn.text
        return [{"role": "assistant", "content": said}, {"role": "user", "content": turn.observation}]
    calls = [
        {
            "id": f"call_{number}_{place}",
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": json.dumps(dict(call.arguments), ensure_ascii=False),
            },
        }
        for place, call in enumerate(action.calls)
    ]
    answers = [TOGETHER] * (len(calls) - 1) + [turn.observation]
    return [
        {"role": "assistant", "content": _spoken(turn), "tool_calls": calls},
        *(
            {"role": "tool", "tool_call_id": call["id"], "content": answer}
            for call, answer in zip(calls, answers, strict=True)
        ),
    ]


def _spoken(turn: Turn) -> str | None:
    """What was said beside the calls, where the turn's text is one of `move_of`."""
    try:
        kept = json.loads(turn.text)
    except ValueError:
        return None
    content = kept.get("content") if isinstance(kept, dict) else None
    return content if isinstance(content, str) else None
