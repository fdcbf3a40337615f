"""The compact renderer: a call is one short line, `tool value value`, and nothing else is said.

For tiny models that learn an environment's words rather than read about its tools: no tool descriptions, no
roles, one control token where a turn ends. Leaves out the reading and writing of lines (`line.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.core.episode import Turn
from trace_gym.core.tokens import IntArray, Tokenizer, ids
from trace_gym_agents.line import parse_line, spell_line

MESSAGE = ">"


class CompactRenderer:
    """Implements core's Renderer: an observation, an action, the end-of-sequence token, and so on. A turn
    begins right after the observation: its first token follows the last thing seen. Several calls stand on
    several lines; a message is what follows `> `.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._end = tokenizer.eos_id

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The token that ends a turn."""
        return (self._end,)

    def open(self, observation: str, tools: Sequence[ToolSpec], *, suite: str) -> IntArray:
        """The first observation; where it is empty, an end-of-sequence token: no prompt is empty."""
        return ids(self._tokenizer.encode(observation) or [self._end])

    def follow(self, last: Turn, added: Sequence[ToolSpec]) -> IntArray:
        """The end of a turn that was cut, its observation, and a line `+ name argument …` for each tool
        added."""
        cut = not len(last.action_ids) or last.action_ids[-1] != self._end
        text = "\n".join([last.observation, *(f"+ {_usage(spec)}" for spec in added)])
        return ids([*([self._end] if cut else []), *self._tokenizer.encode(text)])

    def parse(self, text: str, tools: Sequence[ToolSpec]) -> Action:
        """The calls that the lines spell, or the message. Anything else is an error."""
        if text.lstrip().startswith(MESSAGE):
            said = text.lstrip().removeprefix(MESSAGE)
            return Action(message=said.removeprefix(" "))
        calls: list[ToolCall] = []
        specs = {spec.name: spec for spec in tools}
        for line in filter(str.strip, text.split("\n")):
            name = line.split(None, 1)[0]
            if name not in specs:
                return Action(error=f"no tool {name[:20]!r}; tools: {', '.join(specs)}")
            call = parse_line(line, specs[name])
            if isinstance(call, str):
                return Action(error=call)
            calls.append(call)
        if not calls:
            return Action(error="the turn is empty")
        return Action(calls=tuple(calls))

    def spell(self, action: Action) -> str:
        """The lines with every argument named, since the tools' schemas are not at hand. Raises ValueError
        for an action that holds an error, or arguments that no line can."""
        return self._spelled(action, {})

    def write(self, action: Action, tools: Sequence[ToolSpec]) -> IntArray:
        """The tokens of the shortest lines that `parse` reads back as `action`, and the end of the turn."""
        text = self._spelled(action, {spec.name: spec for spec in tools})
        return ids([*self._tokenizer.encode(text), self._end])

    def _spelled(self, action: Action, specs: dict[str, ToolSpec]) -> str:
        if action.calls:
            return "\n".join(spell_line(call, specs.get(call.name)) for call in action.calls)
        if action.message is None:
            raise ValueError(f"an error cannot be spelled: {action.error}")
        return f"{MESSAGE} {action.message}"


def _usage(spec: ToolSpec) -> str:
    return " ".join([spec.name, *spec.parameters.get("properties", {})])
