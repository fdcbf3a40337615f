"""Recorded episodes as chat messages in the OpenAI shape, for supervised fine-tuning.

Every episode is one object `{"messages": [...], "tools": [...]}`. Leaves out the policy's own text format: a
call is spelled as a structured tool call, whatever words the policy used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trace_gym.core.action import ToolSpec
from trace_gym.core.episode import Turn
from trace_gym.store.export import StoredEpisode


def messages_record(
    stored: StoredEpisode, tools: Mapping[str, Sequence[ToolSpec]] | None = None
) -> dict[str, Any]:
    """An episode as messages, with the tools of its suite where `tools` knows them.

    A turn that could not be understood keeps the text that was sampled. Where one turn made several calls,
    the observation answers the last and the others are answered empty, for the environment answers a turn
    once.
    """
    episode = stored.episode
    told: list[dict[str, Any]] = [{"role": "user", "content": episode.turns[0].observation}]
    for number, turn in enumerate(episode.turns[1:], start=1):
        told.extend(_turn(number, turn))
    if told[-1]["role"] == "user":
        told.pop()
    offered = [spec.openai() for spec in (tools or {}).get(episode.task.suite, ())]
    return {"messages": told, **({"tools": offered} if offered else {})}


def _turn(number: int, turn: Turn) -> list[dict[str, Any]]:
    """What a turn adds: the assistant's message, and what the environment answered."""
    action = turn.action
    if action is None or not action.calls:
        said = turn.text if action is None or action.message is None else action.message
        return [{"role": "assistant", "content": said}, {"role": "user", "content": turn.observation}]
    calls = [
        {
            "id": f"call_{number}_{place}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
        }
        for place, call in enumerate(action.calls)
    ]
    answers = [
        {"role": "tool", "tool_call_id": call["id"], "content": turn.observation if last else ""}
        for call, last in zip(calls, [*[False] * (len(calls) - 1), True], strict=True)
    ]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *answers]
