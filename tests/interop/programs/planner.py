"""An agent with a tool of its own and several rounds, streamed: the usual loop around the OpenAI SDK."""

import json
import sys

from openai import OpenAI

client = OpenAI()
TOOL = {
    "type": "function",
    "function": {
        "name": "half",
        "description": "Half of a number.",
        "parameters": {"type": "object", "properties": {"of": {"type": "integer"}}, "required": ["of"]},
    },
}
messages = [{"role": "user", "content": sys.stdin.read()}]
for _ in range(10):
    content, calls = "", {}
    for chunk in client.chat.completions.create(
        model="gpt-any", messages=messages, tools=[TOOL], stream=True
    ):
        delta = chunk.choices[0].delta
        content += delta.content or ""
        for part in delta.tool_calls or []:
            call = calls.setdefault(part.index, {"id": part.id, "name": "", "arguments": ""})
            call["name"] += part.function.name or ""
            call["arguments"] += part.function.arguments or ""
    said = {"role": "assistant", "content": content}
    if calls:
        said["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in calls.values()
        ]
    messages.append(said)
    for call in calls.values():
        assert call["name"] == "half", call
        half = json.loads(call["arguments"])["of"] // 2
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": str(half)})
    if not calls:
        if content.startswith("DONE"):
            break
        messages.append({"role": "user", "content": "Go on."})
