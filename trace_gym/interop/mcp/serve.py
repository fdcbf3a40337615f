"""A task of any suite as an MCP server on the standard streams: for agents that bring a loop of their own and
take their tools from MCP, such as desktop and terminal agents.

The task is the server's instructions, and what its tool `task` says; the environment's tools are tools;
`answer` sends a message. What came of it stands in a file after every turn. One process is one episode.
Leaves out the model's tokens and costs, which the agent keeps to itself: `interop/external` counts those.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import mcp_types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from trace_gym.core.action import Action, ToolCall, ToolSpec
from trace_gym.core.check import Verdict
from trace_gym.core.errors import BadConfig, EnvironmentFailed, boundary
from trace_gym.core.task import Task
from trace_gym.environment.env import AgenticEnv
from trace_gym.environment.registry import Suite
from trace_gym.rollout.own_thread import OwnThread

T = TypeVar("T")
TASK = ToolSpec("task", "The task, as it was first told.", {"type": "object", "properties": {}})
TEXT = {"type": "string", "description": "The message."}
ANSWER = ToolSpec(
    "answer",
    "Send a message: the answer, or what is to be said to whoever gave the task.",
    {"type": "object", "properties": {"text": TEXT}, "required": ["text"]},
)


class Desk:
    """One episode, played over MCP. Lifecycle: `open`, calls, `close`; its environment has its own thread.

    A suite's own tool of the name `task` or `answer` takes the place of ours.
    """

    def __init__(self, suite: Suite, task: Task, result: Path | None) -> None:
        self._suite, self._task, self._result = suite, task, result
        self._thread = OwnThread("env")
        self._env: AgenticEnv | None = None
        self._opening = ""
        self._tools: tuple[ToolSpec, ...] = ()
        self._over = ""

    async def open(self) -> str:
        """Begin; the task's first observation. Raises EnvironmentFailed, BadConfig."""

        def begin() -> str:
            self._env = self._suite.make(split=self._task.split)
            observation, info = self._env.reset(seed=self._task.seed, options={"task": self._task})
            self._tools = tuple(self._env.available())
            self._note(0.0, info["verdicts"], info["success"], turns=0)
            return observation

        self._opening = await self._on_thread(begin)
        return self._opening

    def close(self) -> None:
        """End the episode as it stands."""
        self._thread.end(self._close)

    def _close(self) -> None:
        if self._env is not None:
            self._env.close()

    def tools(self) -> list[mcp_types.Tool]:
        """The environment's tools as they are now, and ours."""
        own = [spec for spec in (TASK, ANSWER) if spec.name not in {tool.name for tool in self._tools}]
        return [
            mcp_types.Tool(name=spec.name, description=spec.description, input_schema=dict(spec.parameters))
            for spec in (*self._tools, *own)
        ]

    async def call(self, name: str, arguments: dict[str, Any]) -> mcp_types.CallToolResult:
        """Take a turn; what is wrong with a call is its answer."""
        if self._over:
            return _said(self._over, wrong=True)
        names = {tool.name for tool in self._tools}
        if name == TASK.name and name not in names:
            return _said(self._opening)
        if name == ANSWER.name and name not in names:
            action = Action(message=str(arguments.get("text", "")))
        else:
            action = Action(calls=(ToolCall(name, arguments),))
        try:
            return _said(await self._on_thread(lambda: self._stepped(action)))
        except EnvironmentFailed as error:
            self._over = f"The environment broke: {error}"
            self._note(None, (), None, turns=None, failure=str(error))
            return _said(self._over, wrong=True)

    def _stepped(self, action: Action) -> str:
        assert self._env is not None
        observation, reward, terminated, truncated, info = self._env.step(action)
        self._tools = tuple(self._env.available())
        if terminated or truncated:
            self._over = "The episode is over."
        self._note(float(reward), info["verdicts"], info["success"], turns=info["turn"])
        return observation

    async def _on_thread(self, work: Callable[[], T]) -> T:
        limit = self._task.limits.step_timeout_s
        try:
            return await self._thread.call(work, limit)
        except TimeoutError as late:
            raise EnvironmentFailed(f"no answer from the environment in {limit:g} s") from late

    def _note(
        self,
        reward: float | None,
        verdicts: tuple[Verdict, ...],
        success: bool | None,
        *,
        turns: int | None,
        failure: str | None = None,
    ) -> None:
        """Write what has come of it, whole or not at all. Raises BadConfig where it cannot be written."""
        if self._result is None:
            return
        found = [
            {"name": v.name, "status": str(v.status), "score": v.score, "evidence": v.evidence}
            for v in verdicts
        ]
        facts = {"task": self._task.key, "turns": turns, "over": bool(self._over), "success": success}
        whole = {**facts, "reward": reward, "failure": failure, "verdicts": found}
        scratch = self._result.with_name(f"{self._result.name}.part")
        with boundary(BadConfig, OSError, what=f"the result cannot be written to {self._result}"):
            scratch.write_text(json.dumps(whole, indent=2), encoding="utf-8")
            scratch.replace(self._result)


async def serve(suite: Suite, task: Task, *, result: Path | None) -> None:
    """Serve one episode until the client hangs up. Raises EnvironmentFailed, BadConfig."""
    desk = Desk(suite, task, result)

    async def listed(_: Any, __: mcp_types.PaginatedRequestParams | None) -> mcp_types.ListToolsResult:
        return mcp_types.ListToolsResult(tools=desk.tools())

    async def called(_: Any, given: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:
        return await desk.call(given.name, dict(given.arguments or {}))

    try:
        opening = await desk.open()
        server: Server[Any] = Server(
            f"trace-gym {task.key}", instructions=opening, on_list_tools=listed, on_call_tool=called
        )
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
    finally:
        desk.close()


def _said(text: str, *, wrong: bool = False) -> mcp_types.CallToolResult:
    return mcp_types.CallToolResult(content=[mcp_types.TextContent(type="text", text=text)], is_error=wrong)
