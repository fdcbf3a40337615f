"""The hermes renderer: tool calls as JSON between `<tool_call>` tags, as Qwen and Hermes models were taught.

A conversation has the tokens that Qwen3's own chat template gives it, except that the past is never rendered
again: thinking stays where it was said. Leaves out system prompts beyond the tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.core.episode import Turn
from trace_gym.core.tokens import IntArray, Tokenizer, ids
from trace_gym_agents.chatml import END, START, ChatML, Mark
from trace_gym_agents.jsontext import read_json

CALL, CALL_END = Mark("<tool_call>"), Mark("</tool_call>")
RESPONSE, RESPONSE_END = Mark("<tool_response>"), Mark("</tool_response>")
THINK, THINK_END = Mark("<think>"), Mark("</think>")

# The format prescribes these words: models were trained on them.
TOOLS_HEAD = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
TOOLS_FOOT = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within ",
    CALL,
    CALL_END,
    " XML tags:\n",
    CALL,
    '\n{"name": <function-name>, "arguments": <args-json-object>}\n',
    CALL_END,
)


class HermesRenderer:
    """Implements core's Renderer. The answers to calls are tool responses, those to messages are what the
    user says. With `think=False` every turn of the model begins with an empty block of thoughts.

    Raises ValueError for a tokenizer without `<|im_start|>` and `<|im_end|>`. Where it has no tokens for the
    tags, they are spelled out.
    """

    def __init__(self, tokenizer: Tokenizer, *, think: bool = True) -> None:
        self._chat = ChatML(tokenizer, (CALL, CALL_END, RESPONSE, RESPONSE_END, THINK, THINK_END))
        self._think = think
        self._stop = tuple(dict.fromkeys((self._chat.end, tokenizer.eos_id)))

    @classmethod
    def without_thinking(cls, tokenizer: Tokenizer) -> HermesRenderer:
        """The renderer for models that think unless they are told not to."""
        return cls(tokenizer, think=False)

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The end of a turn, and of a text."""
        return self._stop

    def open(self, observation: str, tools: Sequence[ToolSpec], *, suite: str) -> IntArray:
        """The tools, if there are any, the first observation as the user's words, and the model's turn."""
        system: list[str | Mark] = []
        if tools:
            system = [START, "system\n", TOOLS_HEAD, *_listed(tools), *TOOLS_FOOT, END, "\n"]
        return ids(self._chat.lay(*system, START, "user\n", observation, END, "\n", *self._opening()))

    def follow(self, last: Turn, added: Sequence[ToolSpec]) -> IntArray:
        """The end of a turn that was cut, then a turn of the user's that holds the observation and the tools
        added, then the model's turn."""
        answer: list[str | Mark] = [last.observation]
        if last.action is not None and last.action.message is None:
            answer = [RESPONSE, "\n", last.observation, "\n", RESPONSE_END]
        if added:
            answer += [
                "\nFrom now on these functions can be called, too:\n<tools>",
                *_listed(added),
                "\n</tools>",
            ]
        pieces = [*self._chat.after(last), START, "user\n", *answer, END, "\n", *self._opening()]
        return ids(self._chat.lay(*pieces))

    def parse(self, text: str, tools: Sequence[ToolSpec]) -> Action:
        """The calls between the tags; without any, what is said beside the thoughts is the message."""
        said = _beside_thoughts(text)
        if said is None:
            return Action(error=f"the thoughts were never closed with {THINK_END.token}")
        if CALL.token not in said:
            return Action(message=said)
        calls: list[ToolCall] = []
        at = said.find(CALL.token)
        while at >= 0:
            call, end = _call(said, at + len(CALL.token))
            if isinstance(call, str):
                return Action(error=call)
            calls.append(call)
            at = said.find(CALL.token, end)
        return Action(calls=tuple(calls))

    def spell(self, action: Action) -> str:
        """The text that `parse` reads back as `action`. Raises ValueError for an action that holds an error,
        and for a message that would be taken for calls or thoughts."""
        return "".join(piece if isinstance(piece, str) else piece.token for piece in _spelled(action))

    def write(self, action: Action, tools: Sequence[ToolSpec]) -> IntArray:
        """The tokens of `spell`'s text as a model says them, tags as their own tokens, and the end of the
        turn."""
        return ids(self._chat.lay(*_spelled(action), END))

    def _opening(self) -> list[str | Mark]:
        silence: list[str | Mark] = [THINK, "\n\n", THINK_END, "\n\n"]
        return [START, "assistant\n", *([] if self._think else silence)]


def _listed(tools: Sequence[ToolSpec]) -> Iterator[str]:
    return (f"\n{json.dumps(tool.openai(), ensure_ascii=False)}" for tool in tools)


def _beside_thoughts(text: str) -> str | None:
    """What follows the thoughts, everything if there are none, None if they never end. The opening of the
    thoughts may have been given in the prompt."""
    begun = text.lstrip().startswith(THINK.token)
    close, call = text.find(THINK_END.token), text.find(CALL.token)
    if close >= 0 and (begun or call < 0 or close < call):
        return text[close + len(THINK_END.token) :].lstrip("\n")
    return None if begun else text


def _call(text: str, start: int) -> tuple[ToolCall | str, int]:
    """The call that a tag at `start` opens, or what is wrong with it, and where it ends."""
    start += len(text[start:]) - len(text[start:].lstrip())
    try:
        value, end = read_json(text, start)
    except ValueError as error:
        return f"what stands after {CALL.token} is not valid JSON: {error}", start
    rest = text[end:].lstrip()
    if rest and not rest.startswith((CALL_END.token, CALL.token)):
        return f"{CALL_END.token} must follow the JSON object of a call, got {rest[:20]!r}", end
    parsed = Action.parse([value])
    return (parsed.calls[0] if parsed.calls else str(parsed.error)), end


def _spelled(action: Action) -> list[str | Mark]:
    pieces: list[str | Mark] = []
    for call in action.calls:
        body = json.dumps({"name": call.name, "arguments": dict(call.arguments)}, ensure_ascii=False)
        pieces += ["\n"] * bool(pieces) + [CALL, f"\n{body}\n", CALL_END]
    if action.calls:
        return pieces
    if action.message is None:
        raise ValueError(f"an error cannot be spelled: {action.error}")
    if CALL.token in action.message or _beside_thoughts(action.message) != action.message:
        raise ValueError(f"a message that holds {CALL.token} or thoughts cannot be told from them")
    return [action.message]
