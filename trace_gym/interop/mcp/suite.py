"""Any MCP server as an environment: its tools are the agent's, its state is what the checks look at.

    trace-gym eval 'mcp?config=tasks.toml' --agent 'chat_api?model=NAME&base_url=http://localhost:8000/v1'

The file says how to reach the server and what the tasks are: see `config`. An episode begins with a server of
its own, or with calls that reset the one there is; a message of the agent's ends it.

Forks are by replay: the episode is played again on a fresh server and compared turn by turn. A server that
does not repeat itself is found out there, and by `trace-gym check`; one that is declared not to be
`deterministic` is not forkable, and a scheduler that forks is refused at once. A server over HTTP should keep
its state per session: otherwise episodes at once would see each other, and `--workers 1` is needed.

Leaves out tools that change during an episode, resources and prompts. Needs the extra `mcp`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.core.check import Verdict
from trace_gym.core.errors import BadConfig, EnvironmentFailed, ForkDiverged, unknown
from trace_gym.core.task import Limits, Split, Task
from trace_gym.environment.env import AgenticEnv, RewardRule
from trace_gym.environment.fork import Snapshot, Step, Strategy
from trace_gym.environment.tools import ToolError
from trace_gym.interop.mcp.config import EXAMPLE, Call, Check, Entry, McpConfig, read_config
from trace_gym.interop.mcp.connection import Connection, Said
from trace_gym.interop.mcp.judge import judged

ENDED = "The episode is over."
SLACK = 4


@dataclass(slots=True)
class Talk:
    """An episode beside the server's state: the agent's `answer`, and how many actions of the solution came
    in order."""

    answer: str | None = None
    played: int = 0


class Mcp(AgenticEnv):
    """Tasks on any MCP server, by a file that names server, tasks and checks (an example without one)."""

    suite: ClassVar[str] = "mcp"
    fork: ClassVar[Strategy] = "replay"
    chance: ClassVar[float] = 0.01
    state: Talk

    def __init__(
        self,
        *,
        reward: RewardRule = "outcome",
        split: Split = Split.TRAIN,
        render_mode: str | None = None,
        config: Path = EXAMPLE,
    ) -> None:
        """Raises BadConfig: a file that cannot be used; EnvironmentFailed: a server that does not serve."""
        self.config = read_config(config)
        self._connection: Connection | None = Connection(self.config.server)
        try:
            self._tools = _offered(self._connection.tools, self.config)
        except BadConfig:
            self._connection.close()
            raise
        # Which tools there are is known only now, and gymnasium's spaces are an instance's.
        self.toolbox = lambda: self._tools  # type: ignore[method-assign]
        super().__init__(reward=reward, split=split, render_mode=render_mode)
        self.pool = lambda: self.tasks(self.split, config=config)

    @classmethod
    def tasks(cls, split: Split, *, config: Path = EXAMPLE, subset: str = "") -> Sequence[Task]:
        """The tasks of a file. Raises BadConfig, UnknownName."""
        found = read_config(config)
        known = sorted({entry.subset for entry in found.task if entry.subset})
        if subset and subset not in known:
            raise unknown("mcp subset", subset, known)
        chosen = [entry for entry in found.task if entry.split is split and subset in ("", entry.subset)]
        return [_task(entry, found) for entry in chosen]

    def begin(self, task: Task) -> str:
        """A fresh server, set up for the task; the prompt."""
        entry = self._entry
        server = self._fresh()
        for call in (*self.config.server.reset, *entry.setup):
            said = server.call(call.tool, call.arguments)
            if said.failed:
                what = f"{task.key}: {call.tool!r} failed before the start"
                raise EnvironmentFailed(f"{what}: {said.text[:300]}")
        self.state = Talk()
        return entry.prompt

    def step(self, action: Any) -> Step:
        """As in AgenticEnv; follows the solution."""
        state, solution = getattr(self, "state", None), self._solution if self._progress else ()
        outcome = super().step(action)
        if state is not None and state.played < len(solution):
            state.played += Action.parse(action) == solution[state.played]
        return outcome

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What the server's tool answers, its errors too."""
        return self._server.call(name, arguments).text

    def reply(self, message: str) -> str:
        """A message is the agent's answer, and the end."""
        self.state.answer = message
        self.finish()
        return ENDED

    def checks(self) -> Iterable[Verdict]:
        """What the file says is to hold, asked of the server and of the answer."""
        for number, check in enumerate(self._entry.check, start=1):
            yield judged(check, number, self._answer_to(check))

    def oracle(self) -> Action | None:
        """The next action of the solution after those that came in order."""
        solution = self._solution
        return solution[self.state.played] if self.state.played < len(solution) else None

    def snapshot(self, strategy: Strategy | None = None) -> Snapshot:
        """As in AgenticEnv, by replay. Raises BadConfig for a server that is declared not deterministic."""
        if not self.config.server.deterministic:
            raise BadConfig(
                f"suite mcp ({self.config.name}) is not forkable: its server is declared "
                "deterministic = false; use a method without forks, such as uniform"
            )
        return super().snapshot(strategy or "replay")

    def restore(self, snapshot: Snapshot) -> None:
        """As in AgenticEnv. Raises ForkDiverged for a server that does not repeat itself."""
        try:
            super().restore(snapshot)
        except ForkDiverged as error:
            raise ForkDiverged(
                f"{error}. The server does not repeat itself, so its episodes are not forkable: declare it "
                "deterministic = false, or have `reset` bring all of its state back"
            ) from error

    def close(self) -> None:
        """End the server."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()
        super().close()

    @property
    def _server(self) -> Connection:
        if self._connection is None or self._connection.broken:
            raise EnvironmentFailed("the MCP server is gone")
        return self._connection

    def _fresh(self) -> Connection:
        """A connection that nothing has been done on, or one whose server can be reset."""
        old = self._connection
        if old is not None and not old.broken and (old.fresh or self.config.server.reset):
            return old
        if old is not None:
            self._connection = None
            old.close()
        self._connection = Connection(self.config.server)
        return self._connection

    def _answer_to(self, check: Check) -> Said | None:
        """What a check looks at; None: the agent has not answered yet."""
        if not check.tool:
            answer = self.state.answer
            return None if answer is None else Said(answer, answer.strip(), failed=False)
        try:
            return self._server.call(check.tool, check.arguments)
        except ToolError as refusal:
            return Said(str(refusal), str(refusal), failed=True)

    @property
    def _entry(self) -> Entry:
        return Entry.model_validate(self.task.payload)

    @property
    def _solution(self) -> tuple[Action, ...]:
        return tuple(
            Action(calls=(ToolCall(each.tool, each.arguments),))
            if isinstance(each, Call)
            else Action(message=each.answer)
            for each in self._entry.solution
        )


def _offered(tools: Sequence[ToolSpec], config: McpConfig) -> tuple[ToolSpec, ...]:
    """The tools that agents see. Raises BadConfig where the file names one that the server has not."""
    names, server = [tool.name for tool in tools], config.server
    used = [*server.only, *server.hidden, *(call.tool for call in server.reset)]
    for entry in config.task:
        calls = [*entry.setup, *(each for each in entry.solution if isinstance(each, Call))]
        used += [call.tool for call in calls] + [check.tool for check in entry.check if check.tool]
    for name in used:
        if name not in names:
            raise BadConfig(f"{config.name}: {unknown('tool of the server', name, names)}")
    shown = set(server.only or names) - set(server.hidden)
    return tuple(tool for tool in tools if tool.name in shown)


def _task(entry: Entry, config: McpConfig) -> Task:
    """A task that holds all of its entry; a step may take as long as its checks and a reset may."""
    server = config.server
    waits = SLACK + len(entry.check) + len(entry.setup) + len(server.reset)
    return Task(
        f"{config.name}-{entry.id}",
        "mcp",
        entry.split,
        entry.family or entry.id,
        subset=entry.subset,
        payload=entry.model_dump(mode="json"),
        limits=Limits(
            max_turns=entry.max_turns, step_timeout_s=2 * server.start_s + waits * (server.timeout_s + 1)
        ),
    )
