"""A connection to one MCP server, for code that is not asynchronous. The sole importer of mcp's client.

Every wait ends: a server that does not start, does not answer in time, or goes away is the environment's
failure, and its process is ended. Leaves out what servers ask of clients (sampling, elicitation, roots),
resources and prompts.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import TimeoutError as Late
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO, TypeVar, cast

import mcp_types
from anyio.from_thread import start_blocking_portal
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError

from trace_gym.core.action import ToolSpec
from trace_gym.core.errors import BadConfig, EnvironmentFailed, TraceGymError, boundary
from trace_gym.environment.toolbox import flaw
from trace_gym.environment.tools import ToolError
from trace_gym.interop.mcp.config import Server, filled

T = TypeVar("T")
GRACE_S = 5.0
MOST_PAGES = 100
CALLERS = frozenset({mcp_types.INVALID_PARAMS, mcp_types.METHOD_NOT_FOUND})
"""Errors of the protocol that are answers to the caller."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a tool answered: as text, and as the value it is, where it is one."""

    text: str
    value: Any
    failed: bool


class Connection:
    """Lifecycle: made connected, `close` once or more. `fresh` until a tool was called, `broken` once the
    server failed; then it is closed already."""

    def __init__(self, server: Server) -> None:
        """Raises BadConfig where the command is not there, EnvironmentFailed where it does not serve."""
        if server.command and shutil.which(server.command[0].replace("{python}", sys.executable)) is None:
            raise BadConfig(f"there is no program {server.command[0]!r} to serve MCP")
        self._server = server
        self._name = server.url or server.command[0]
        self.fresh, self.broken = True, False
        self._stack = ExitStack()
        errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._errors = cast("TextIO", self._stack.enter_context(errors))
        with self._failing("did not start"):
            self._portal = self._stack.enter_context(start_blocking_portal())
            manager = self._portal.wrap_async_context_manager(_connected(server, self._errors))
            self._client = self._stack.enter_context(manager)
            self.tools = self._listed()

    def call(self, name: str, arguments: Mapping[str, Any]) -> Said:
        """What the tool answers. Raises ToolError where the server refuses the call as such,
        EnvironmentFailed."""
        self.fresh = False
        with self._failing(f"broke in a call of {name!r}"):
            answer = self._answer(name, dict(arguments))
        if isinstance(answer, str):
            raise ToolError(answer)
        return _said(answer)

    def _answer(self, name: str, arguments: dict[str, Any]) -> mcp_types.CallToolResult | str:
        """What the tool answers, or why the call is refused."""
        limit_s = self._server.timeout_s
        try:
            return self._wait(partial(self._client.call_tool, name, arguments, limit_s), limit_s)
        except MCPError as error:
            if error.error.code in CALLERS:
                return error.error.message
            raise

    def close(self) -> None:
        """Hang up; a server of our own is ended, its children too."""
        with boundary(EnvironmentFailed, Exception, what=f"MCP server {self._name} could not be left"):
            self._stack.close()

    def _listed(self) -> tuple[ToolSpec, ...]:
        found: list[ToolSpec] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = self._wait(partial(self._client.list_tools, cursor=cursor), self._server.timeout_s)
            for tool in page.tools:
                about = tool.description or tool.title or tool.name
                found.append(ToolSpec(tool.name, about, tool.input_schema))
            cursor = page.next_cursor
            if not cursor:
                break
        for spec in found:
            wrong = flaw(spec)
            if wrong:
                raise EnvironmentFailed(f"MCP server {self._name}: {wrong}")
        return tuple(found)

    def _wait(self, work: Callable[[], Awaitable[T]], limit_s: float) -> T:
        """Run on the connection's own loop; the library ends it in `limit_s`, we do a little later."""
        future = self._portal.start_task_soon(work)
        try:
            return future.result(limit_s + GRACE_S)
        except Late as late:
            future.cancel()
            raise EnvironmentFailed(f"no answer in {limit_s:g} s") from late

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """What goes wrong inside is the environment's failure, and the end of the connection."""
        try:
            with boundary(EnvironmentFailed, Exception, what=f"MCP server {self._name} {what}"), _alone():
                yield
        except TraceGymError as error:
            words = self._last_words()
            self.broken = True
            self.close()
            if not isinstance(error, EnvironmentFailed):
                raise
            raise EnvironmentFailed(f"{error}; it said: {words}" if words else str(error)) from error

    def _last_words(self) -> str:
        """The end of what a server of our own wrote on its standard error."""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return " | ".join(lines[-3:])[-500:]


@contextmanager
def _alone() -> Iterator[None]:
    """The one exception that matters instead of the groups that the library wraps it in."""
    try:
        yield
    except ExceptionGroup as group:
        first: Exception = group
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise first from group


@asynccontextmanager
async def _connected(server: Server, errors: TextIO) -> AsyncIterator[Client]:
    """A client that has shaken hands."""
    async with AsyncExitStack() as stack:
        if server.command:
            words = [word.replace("{python}", sys.executable) for word in server.command]
            parameters = StdioServerParameters(
                command=words[0], args=words[1:], env=filled(server.env, "env"), cwd=server.folder
            )
            transport = stdio_client(parameters, errlog=errors)
        else:
            headers = filled(server.headers, "header")
            http = await stack.enter_async_context(create_mcp_http_client(headers))
            transport = streamable_http_client(server.url, http_client=http)
        mode = "legacy" if server.protocol == "session" else "auto"
        client = Client(transport, mode=mode, read_timeout_seconds=server.start_s, cache=None)
        yield await stack.enter_async_context(client)


def _said(result: mcp_types.CallToolResult) -> Said:
    """A result as text for the agent and as a value for checks."""
    parts = [_shown(part) for part in result.content]
    value = result.structured_content
    if isinstance(value, dict) and set(value) == {"result"}:
        value = value["result"]
    if not parts and value is not None:
        parts = [json.dumps(value, ensure_ascii=False)]
    text = "\n".join(parts)
    if value is None:
        try:
            value = json.loads(text)
        except ValueError:
            value = text
    return Said(text, value, bool(result.is_error))


def _shown(part: Any) -> str:
    """A part of a result in words; what is no text is named with its size."""
    if isinstance(part, mcp_types.TextContent):
        return part.text
    if isinstance(part, mcp_types.EmbeddedResource):
        inner = part.resource
        if isinstance(inner, mcp_types.TextResourceContents):
            return inner.text
        return f"[resource {inner.uri}, {inner.mime_type or 'unknown type'}]"
    if isinstance(part, mcp_types.ResourceLink):
        return f"[resource {part.uri}: {part.name}]"
    return f"[{part.type}, {getattr(part, 'mime_type', '')}, {len(getattr(part, 'data', ''))} characters]"
