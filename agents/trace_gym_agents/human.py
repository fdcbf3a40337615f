"""A person at a terminal as an agent. Leaves out editing and history, which the terminal may provide."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import Future
from typing import TextIO

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.agent import Move, View
from trace_gym_agents.line import parse_line
from trace_gym_agents.signature import signature

FAREWELL = "I stop here."
HELP = "A tool and its values (search red fox, search limit=3 red fox), JSON, or a message."


class HumanAgent:
    """Shows the observation and the tools, and reads one line a turn: a call in line or JSON notation, else a
    message. What cannot be understood is explained and asked for again.

    At the end of the input it takes its leave: from then on every turn is the same message. Episodes that are
    played at once are asked about one after the other.
    """

    trainable = False
    wants_oracle = False

    def __init__(self, *, source: TextIO | None = None, sink: TextIO | None = None) -> None:
        """`source` and `sink` default to standard input and standard error: the output is left to others."""
        self._source = source or sys.stdin
        self._console = Console(file=sink or sys.stderr, highlight=False)
        self._turn = threading.Lock()
        self._gone = False

    async def act(self, view: View) -> Move:
        """Ask the person. The event loop goes on meanwhile, and an interrupt need not wait for a line. Raises
        OSError and ValueError where the input cannot be read."""
        answer: Future[Action] = Future()
        answer.set_running_or_notify_cancel()
        threading.Thread(target=self._answer, args=(view, answer), name="human", daemon=True).start()
        return Move(await asyncio.wrap_future(answer))

    def understand(self, line: str, tools: tuple[ToolSpec, ...]) -> Action:
        """The action that a line means; its `error` says why it means none."""
        return understood(line.strip(), tools)

    def _answer(self, view: View, answer: Future[Action]) -> None:
        try:
            answer.set_result(self._ask(view))
        except (OSError, ValueError) as error:
            answer.set_exception(error)

    def _ask(self, view: View) -> Action:
        with self._turn:
            if not self._gone:
                self._show(view)
            while not self._gone:
                self._console.print("> ", end="")
                line = self._source.readline()
                if not line:
                    self._gone = True
                    self._console.print("\nGoodbye.")
                    break
                action = understood(line.strip(), view.tools)
                if action.error is None:
                    return action
                self._console.print(Text(printable(action.error), style="red"))
            return Action(message=FAREWELL)

    def _show(self, view: View) -> None:
        title = f"{view.suite}, turn {len(view.turns)}"
        seen = Text(printable(view.turns[-1].observation))
        self._console.print(Panel(seen, title=title, title_align="left"))
        if len(view.turns) == 1 or view.tools != view.tools_before[-1]:
            for spec in view.tools:
                line = Text(f"  {printable(signature(spec))}", style="bold")
                self._console.print(line.append(f"  {printable(spec.description)}", style="not bold"))
            self._console.print(HELP, style="dim", markup=False)


def understood(line: str, tools: tuple[ToolSpec, ...]) -> Action:
    """The action that a person's line means; its `error` says why it means none."""
    if not line:
        return Action(error=HELP)
    named = next((spec for spec in tools if spec.name == line.split(None, 1)[0]), None)
    if named is None:
        return Action.parse(line)
    call = parse_line(line, named)
    return Action(error=call) if isinstance(call, str) else Action(calls=(call,))


def printable(text: str) -> str:
    """The text without what would steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
