"""The renderer for SmolLM2-135M-Instruct and its like: small chat models that follow examples, not orders.

A turn is one JSON object whose beginning is already given, `{"tool": "`, so that the model goes on with a
tool's name instead of an answer of its own. The prompt shows how the tools are used, by a worked example of
the suite's where there is one (`shots.py`), else by invented calls, and each tool in a line, for the context
is short. Leaves out thinking.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.core.episode import Turn
from trace_gym.core.tokens import IntArray, Tokenizer, ids
from trace_gym_agents.chatml import END, START, ChatML, Mark
from trace_gym_agents.jsontext import read_json
from trace_gym_agents.shots import worked
from trace_gym_agents.signature import signature

BEGUN = '{"tool": "'
SAY = "say"
HEAD = "Reply with one tool call as JSON.\nTools:\n"
MORE = "More tools:\n"
SAY_LINE = "say(text: str) Say something to the user."
SENTENCE = re.compile(r"(?<=[.!?])\s+")
DOC_CHARACTERS = 100
_INVENTED: Mapping[str, Sequence[Any]] = {
    "string": ("red", "blue sea", "3 green"),
    "integer": (3, 5, 8),
    "number": (0.5, 3, 8),
    "boolean": (True, False, True),
    "array": ([], [], []),
    "object": ({}, {}, {}),
    "null": (None, None, None),
}


class SmolLM2Renderer:
    """Implements core's Renderer. A call is `{"tool": name, argument: value, …}`, a message a call of `say`
    (unless the suite has a tool of that name), and several calls stand on several lines.

    `shots` is how many calls are invented; 0 leaves worked examples out too. Raises ValueError for a
    tokenizer without `<|im_start|>`
    and `<|im_end|>`.
    """

    def __init__(self, tokenizer: Tokenizer, *, shots: int = 3) -> None:
        if shots < 0:
            raise ValueError(f"shots must not be negative, got {shots}")
        self._chat = ChatML(tokenizer)
        self._shots = shots
        self._stop = tuple(dict.fromkeys((self._chat.end, tokenizer.eos_id)))

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The end of a turn, and of a text."""
        return self._stop

    def open(self, observation: str, tools: Sequence[ToolSpec], *, suite: str) -> IntArray:
        """The tools in a line each, the examples, the first observation, and the beginning of a call."""
        listed = "\n".join([*described(tools), SAY_LINE])
        pieces: list[str | Mark] = [START, "system\n", HEAD, listed, END, "\n"]
        for asked, call in self._shown(suite, tools):
            pieces += [START, "user\n", asked, END, "\n", START, "assistant\n", _line(call), END, "\n"]
        return ids(self._chat.lay(*pieces, *_exchange(observation)))

    def _shown(self, suite: str, tools: Sequence[ToolSpec]) -> Sequence[tuple[str, ToolCall]]:
        """The exchanges that the prompt shows before the task."""
        shown = worked(suite, tools) if self._shots else ()
        return shown or tuple(examples(tools, self._shots))

    def follow(self, last: Turn, added: Sequence[ToolSpec]) -> IntArray:
        """The end of a turn that was cut, the observation with the tools added, the beginning of a call."""
        more = f"\n{MORE}" + "\n".join(described(added)) if added else ""
        return ids(self._chat.lay(*self._chat.after(last), *_exchange(last.observation + more)))

    def parse(self, text: str, tools: Sequence[ToolSpec]) -> Action:
        """The calls that the text completes and holds; what follows them on their line is ignored."""
        whole, at = BEGUN + text, 0
        calls: list[ToolCall] = []
        while at >= 0:
            try:
                value, end = read_json(whole, at)
            except ValueError as error:
                return Action(error=f"the call is not valid JSON: {error}")
            call = _call(value)
            if isinstance(call, str):
                return Action(error=call)
            calls.append(call)
            line_end = whole.find("\n", end)
            at = line_end + 1 if line_end >= 0 and whole.startswith(BEGUN, line_end + 1) else -1
        said = [call for call in calls if call.name == SAY]
        if not said or any(spec.name == SAY for spec in tools):
            return Action(calls=tuple(calls))
        if (
            len(calls) > 1
            or list(said[0].arguments) != ["text"]
            or not isinstance(said[0].arguments["text"], str)
        ):
            return Action(error=f"{SAY} stands alone and takes one text")
        return Action(message=said[0].arguments["text"])

    def spell(self, action: Action) -> str:
        """What completes the call that the prompt began. Raises ValueError for an action that holds an
        error."""
        if action.calls:
            return "\n".join(map(_line, action.calls)).removeprefix(BEGUN)
        if action.message is None:
            raise ValueError(f"an error cannot be spelled: {action.error}")
        return _line(ToolCall(SAY, {"text": action.message})).removeprefix(BEGUN)

    def write(self, action: Action, tools: Sequence[ToolSpec]) -> IntArray:
        """The tokens of `spell`'s text and the end of the turn."""
        return ids(self._chat.lay(self.spell(action), END))


def described(tools: Sequence[ToolSpec]) -> list[str]:
    """A line for each tool: its signature and the first sentence that no other tool's description has."""
    sentences = [SENTENCE.split(" ".join(tool.description.split())) for tool in tools]
    counts = Counter(sentence for parts in sentences for sentence in dict.fromkeys(parts))
    own = [next((s for s in parts if counts[s] == 1), "") for parts in sentences]
    lines = (f"{signature(tool)} {_short(sentence)}" for tool, sentence in zip(tools, own, strict=True))
    return [line.rstrip() for line in lines]


def examples(tools: Sequence[ToolSpec], count: int) -> Iterator[tuple[str, ToolCall]]:
    """Invented requests and the calls that answer them, of the first tools that need arguments; a value is
    one of its schema's examples where it has any."""
    apt = [tool for tool in tools if tool.parameters.get("required")]
    for number, tool in enumerate(islice(cycle(apt), count if apt else 0)):
        properties: Mapping[str, Any] = tool.parameters.get("properties", {})
        needed = [name for name in properties if name in tool.parameters["required"]]
        values = {name: _invented(properties[name], number) for name in needed}
        asked = " and ".join(v if isinstance(v, str) else json.dumps(v) for v in values.values())
        yield f"What is {asked}?", ToolCall(tool.name, values)


def _invented(schema: Any, number: int) -> Any:
    if not isinstance(schema, Mapping):
        return _INVENTED["string"][number % 3]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][number % len(schema[key])]
    kind = schema.get("type", "string")
    return _INVENTED.get(kind if isinstance(kind, str) else kind[0], _INVENTED["string"])[number % 3]


def _short(sentence: str) -> str:
    return sentence if len(sentence) <= DOC_CHARACTERS else sentence[: DOC_CHARACTERS - 1].rstrip() + "…"


def _exchange(observation: str) -> list[str | Mark]:
    return [START, "user\n", observation, END, "\n", START, "assistant\n", BEGUN]


def _line(call: ToolCall) -> str:
    """A call as JSON in one line; arguments that would be mistaken stand in an object of their own."""
    arguments = dict(call.arguments)
    if "tool" in arguments or (list(arguments) == ["arguments"] and isinstance(arguments["arguments"], dict)):
        arguments = {"arguments": arguments}
    return json.dumps({"tool": call.name, **arguments}, ensure_ascii=False)


def _call(value: Any) -> ToolCall | str:
    if not isinstance(value, dict) or not isinstance(value.get("tool"), str):
        return 'a call begins with the name of a tool: {"tool": "name", …}'
    arguments = {name: given for name, given in value.items() if name != "tool"}
    if list(arguments) == ["arguments"] and isinstance(arguments["arguments"], dict):
        arguments = arguments["arguments"]
    return ToolCall(value["tool"], arguments)
