"""What a program was never shown of its own conversations: tool rounds that the proxy played for it.

Leaves out asking and playing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from trace_gym.core.action import Action

TOGETHER = "(answered together with the last call)"
Message = Mapping[str, Any]


class Unseen:
    """Remembers, for an assistant's message in the place where a program has it, the messages that really
    were there. A conversation is known by what was said in it up to there, so programs may hold several at
    once; one that the program has rewritten is left as it is."""

    def __init__(self) -> None:
        self._rounds: dict[bytes, list[dict[str, Any]]] = {}

    def keep(self, messages: Sequence[Message], shown: Message, played: list[dict[str, Any]]) -> None:
        """After `messages` the program was shown `shown`, where `played` really came about."""
        mark = b""
        for message in (*messages, shown):
            mark = _marked(mark, message)
        self._rounds[mark] = played

    def restored(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The messages of a request with everything put back."""
        mark, whole = b"", []
        for message in messages:
            mark = _marked(mark, message)
            whole += self._rounds.get(mark) or [dict(message)]
        return whole


def _marked(before: bytes, message: Message) -> bytes:
    """A mark of a conversation that goes on with a message; what clients add or leave out does not matter."""
    content = message.get("content") or ""
    calls = [
        (call.get("id"), call["function"].get("name"), call["function"].get("arguments"))
        for call in message.get("tool_calls") or ()
        if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping)
    ]
    spoken = content.strip() if isinstance(content, str) else content
    said = json.dumps([message.get("role"), spoken, calls, message.get("tool_call_id")], default=str)
    return blake2b(before + said.encode(), digest_size=16).digest()


def divided(message: Message, own: frozenset[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A message's tool calls: the environment's (unknown names too), and those of tools the program has."""
    calls = [dict(call) for call in message.get("tool_calls") or ()]
    for place, call in enumerate(calls):
        call.setdefault("id", f"call_{place}")
        call.setdefault("type", "function")
    theirs = [call for call in calls if _name(call) in own]
    return [call for call in calls if call not in theirs], theirs


def exchange(
    message: Message, ours: list[dict[str, Any]], theirs: list[dict[str, Any]], observation: str
) -> list[dict[str, Any]]:
    """The message as the endpoint is told of it again, and the environment's answer to `ours`."""
    said = {
        "role": "assistant",
        "content": message.get("content"),
        "tool_calls": [*map(_sound, ours), *theirs],
    }
    answers = [TOGETHER] * (len(ours) - 1) + [observation]
    return [
        said,
        *(
            {"role": "tool", "tool_call_id": call["id"], "content": answer}
            for call, answer in zip(ours, answers, strict=True)
        ),
    ]


def _name(call: Message) -> object:
    function = call.get("function")
    return function.get("name") if isinstance(function, Mapping) else None


def _sound(call: dict[str, Any]) -> dict[str, Any]:
    """The call with arguments that every endpoint takes back: those that were no JSON object are quoted."""
    if Action.parse([call]).error is None:
        return call
    function = call.get("function")
    given = function.get("arguments") if isinstance(function, Mapping) else function
    quoted = json.dumps({"not_understood": given}, default=str)
    return {**call, "function": {"name": str(_name(call) or "unknown"), "arguments": quoted}}
