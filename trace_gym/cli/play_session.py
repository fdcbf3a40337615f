"""A person's session in an environment: tools with completion, the checks after every turn, fork and undo.

Leaves out what a line means as a tool call, which the agent `human` knows, and the choice of the task.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

from rich.console import Console
from rich.text import Text

from trace_gym.core.action import Action, ToolSpec
from trace_gym.core.check import Status, Verdict
from trace_gym.core.errors import ForkDiverged
from trace_gym.core.task import Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.fork import Snapshot

COLOURS = {Status.PASS: "green", Status.FAIL: "red", Status.ERROR: "magenta", Status.SKIPPED: "dim"}
COMMANDS = {
    "undo": "take the last turn back",
    "fork": "fork NAME: remember this moment under a name",
    "goto": "goto NAME: go on from a remembered moment",
    "forks": "the remembered moments",
    "hint": "what the reference solution would do now",
    "tools": "the tools and their arguments",
    "help": "this list; a colon before a command (:fork) tells it from a tool of the same name",
    "quit": "leave",
}


class Reader(Protocol):
    """What is needed of the agent `human`."""

    def understand(self, line: str, tools: tuple[ToolSpec, ...]) -> Action:
        """The action that a line means; its `error` says why it means none."""
        ...


class PlaySession:
    """One task, played by a person. Lifecycle: `play` once; when it returns, no snapshot of its is left."""

    def __init__(
        self, env: AgenticEnv, task: Task, *, reader: Reader, console: Console, source: TextIO
    ) -> None:
        self._env = env
        self._task = task
        self._reader = reader
        self._console = console
        self._source = source
        self._past: list[Snapshot] = []
        self._kept: dict[str, Snapshot] = {}

    def play(self) -> bool | None:
        """Play until the person leaves or the input ends; returns the success of where it was left."""
        observation, info = self._env.reset(seed=self._task.seed, options={"task": self._task})
        try:
            self._show(observation, info["verdicts"])
            self._tools("")
            while (line := self._line()) is not None:
                if self._command(line):
                    break
        finally:
            for snapshot in (*self._past, *self._kept.values()):
                snapshot.close()
        return self._success()

    def _success(self) -> bool | None:
        found: bool | None = self._env.progress.info(())["success"]
        return found

    def _line(self) -> str | None:
        """The next line; None at the end of the input."""
        if self._source.isatty():
            with suppress(EOFError), _completion(self._words()):
                return input("> ")
            return None
        self._console.print("> ", end="")
        line = self._source.readline()
        return line.rstrip("\n") if line else None

    def _words(self) -> list[str]:
        return [*(spec.name for spec in self._env.available()), *COMMANDS]

    def _command(self, line: str) -> bool:
        """Do what a line asks for; True to leave."""
        word, _, rest = line.strip().partition(" ")
        name = word.removeprefix(":")
        if name in COMMANDS and (word != name or name not in {spec.name for spec in self._env.available()}):
            if name == "quit":
                return True
            {
                "undo": self._undo,
                "fork": self._fork,
                "goto": self._goto,
                "forks": self._forks,
                "hint": self._hint,
                "tools": self._tools,
                "help": self._help,
            }[name](rest.strip())
            return False
        action = self._reader.understand(line, tuple(self._env.available()))
        if action.error is not None:
            self._say(action.error, "red")
        elif self._env.progress.done:
            self._say("The episode is over: undo, goto NAME or quit.", "red")
        else:
            self._act(action)
        return False

    def _act(self, action: Action) -> None:
        self._past.append(self._env.snapshot())
        observation, _, terminated, truncated, info = self._env.step(action)
        self._show(observation, info["verdicts"])
        if terminated or truncated:
            how = "ended" if terminated else "ran out of turns"
            self._say(f"The episode has {how}; success: {info['success']}. undo, goto NAME or quit.", "bold")

    def _undo(self, _: str) -> None:
        if not self._past:
            self._say("There is no turn to take back.", "red")
            return
        snapshot = self._past.pop()
        self._stand(snapshot)
        snapshot.close()

    def _fork(self, name: str) -> None:
        if not name:
            self._say("Give the moment a name: fork NAME.", "red")
            return
        if name in self._kept:
            self._kept.pop(name).close()
        self._kept[name] = self._env.snapshot()
        self._say(f"Turn {self._env.progress.turn} is remembered as {name!r}.", "dim")

    def _goto(self, name: str) -> None:
        if name not in self._kept:
            self._say(f"No moment is called {name!r}. Known: {', '.join(self._kept) or 'none'}.", "red")
            return
        self._past.append(self._env.snapshot())
        self._stand(self._kept[name])

    def _forks(self, _: str) -> None:
        for name, snapshot in self._kept.items():
            self._say(f"{name}: turn {snapshot.turn}, by {snapshot.strategy}", "")
        if not self._kept:
            self._say("No moment is remembered yet: fork NAME.", "dim")

    def _hint(self, _: str) -> None:
        action = None if self._env.progress.done else self._env.oracle()
        self._say(str(action.json()) if action else "The reference solution has nothing to say here.", "cyan")

    def _tools(self, _: str) -> None:
        for spec in self._env.available():
            arguments = ", ".join(spec.parameters.get("properties", {}))
            line = Text(f"  {_printable(spec.name)}({_printable(arguments)})", style="bold")
            self._console.print(line.append(f"  {_printable(spec.description)}", style="not bold"))

    def _help(self, _: str) -> None:
        self._say("A tool and its values (search red fox), JSON, a message, or one of:", "")
        for name, what in COMMANDS.items():
            self._say(f"  {name:6} {what}", "")

    def _stand(self, snapshot: Snapshot) -> None:
        try:
            self._env.restore(snapshot)
        except ForkDiverged as error:
            self._say(str(error), "red")
            return
        self._show(self._env.progress.observation, self._env.progress.verdicts)

    def _show(self, observation: str, verdicts: Sequence[Verdict]) -> None:
        turn = self._env.progress.turn
        self._say(f"{self._task.key}, turn {turn} of {self._task.limits.max_turns}", "dim")
        self._say(observation, "")
        for verdict in verdicts:
            line = f"[{verdict.status.mark}] {verdict.name}: {verdict.evidence}"
            self._say(line, COLOURS[verdict.status])

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(_printable(text), style=style))


@contextmanager
def _completion(words: Sequence[str]) -> Iterator[None]:
    """Completion of the line's first word by the tab key, while the block runs; none where the terminal's
    Python has no readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    before = readline.get_completer()

    def complete(text: str, state: int) -> str | None:
        fitting = [word for word in words if word.startswith(text)]
        return f"{fitting[state]} " if state < len(fitting) else None

    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(before)


def _printable(text: str) -> str:
    """The text without what would steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
