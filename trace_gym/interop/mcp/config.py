"""A server and the tasks on it, as one TOML file says; `library.toml` beside this file is one.

    name = "library"

    [server]
    command = ["{python}", "server.py"]    # or url = "http://localhost:8000/mcp"
    deterministic = true                   # false: its episodes cannot be forked
    hidden = ["ledger", "restock"]         # tools for checks and resets, not for agents
    reset = [{ tool = "restock" }]         # before every episode; without it each has a new server

    [[task]]
    id = "lend"
    prompt = "Lend Dune to Ann, and say when it is due."
    setup = [{ tool = "lend", arguments = { member = "bob", title = "Emma" } }]
    solution = [{ tool = "lend", arguments = { member = "ann", title = "Dune" } }, { answer = "day 14" }]

    [[task.check]]                         # what a tool says at that moment ...
    tool = "ledger"
    includes = { Dune = "ann" }
    [[task.check]]                         # ... or the agent's message, which ends the episode
    contains = "14"

A check has exactly one of `equals` (the value, or the whole text), `includes` (a part of an object or list),
`contains` (text, case ignored) and `matches` (a regular expression). `$NAME` in `env` and `headers` stands
for that environment variable. Leaves out running any of it.
"""

from __future__ import annotations

import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trace_gym.core.errors import BadConfig, boundary
from trace_gym.core.task import Split

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
EXAMPLE = Path(__file__).with_name("library.toml")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Call(_Table):
    """A call of a tool."""

    tool: str
    arguments: dict[str, Any] = {}


class Answer(_Table):
    """A message of the agent's."""

    answer: str


class Check(_Table):
    """What is to hold of a tool's answer, or of the agent's (no `tool`)."""

    name: str = ""
    tool: str = ""
    arguments: dict[str, Any] = {}
    equals: Any = None
    includes: Any = None
    contains: str | None = None
    matches: str | None = None
    weight: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1.0
    required: bool = True

    @model_validator(mode="after")
    def _one_rule(self) -> Check:
        given = [r for r in ("equals", "includes", "contains", "matches") if getattr(self, r) is not None]
        if len(given) != 1:
            listed = ", ".join(given) or "none"
            raise ValueError(f"a check has one of equals, includes, contains, matches; got {listed}")
        if self.matches is not None:
            re.compile(self.matches)
        return self


class Server(_Table):
    """Where the tools are: a program that speaks MCP on its standard streams (`command`; `{python}` is this
    interpreter), or a streamable HTTP endpoint (`url`). `protocol` "session" makes the handshake that gives a
    connection its own session, "auto" takes the newest that the server speaks, with or without sessions."""

    command: tuple[str, ...] = ()
    url: str = ""
    env: dict[str, str] = {}
    headers: dict[str, str] = {}
    folder: Path = Path()
    protocol: Literal["auto", "session"] = "session"
    timeout_s: Positive = 30.0
    start_s: Positive = 60.0
    deterministic: bool = True
    only: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    reset: tuple[Call, ...] = ()

    @model_validator(mode="after")
    def _one_place(self) -> Server:
        if bool(self.command) == bool(self.url):
            raise ValueError("a server has either a command or a url")
        if (self.headers and self.command) or (self.env and self.url):
            raise ValueError("headers are for a url, env is for a command")
        return self


class Entry(_Table):
    """A task. Its family, for splits and intervals, is its own unless named."""

    id: Annotated[str, Field(min_length=1)]
    prompt: str
    split: Split = Split.TEST
    family: str = ""
    subset: str = ""
    max_turns: Count = 20
    setup: tuple[Call, ...] = ()
    check: Annotated[tuple[Check, ...], Field(min_length=1)]
    solution: tuple[Call | Answer, ...] = ()


class McpConfig(_Table):
    """A whole file."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    server: Server
    task: Annotated[tuple[Entry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _different(self) -> McpConfig:
        ids = [entry.id for entry in self.task]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"task ids must differ, got {twice[0]!r} twice")
        return self


def read_config(path: Path) -> McpConfig:
    """The file at `path`; relative folders are beside it. Raises BadConfig saying what is wrong and where."""
    with boundary(BadConfig, OSError, UnicodeDecodeError, what=f"cannot read {path}"):
        text = path.read_text(encoding="utf-8")
    with boundary(BadConfig, tomllib.TOMLDecodeError, what=f"{path} is not valid TOML"):
        raw = tomllib.loads(text)
    try:
        found = McpConfig.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where, hint = ".".join(map(str, first["loc"])), ""
        if first["type"] == "extra_forbidden":
            near = get_close_matches(str(first["loc"][-1]), _keys(), n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
        raise BadConfig(f"{path}: {where}: {first['msg']}{hint}") from error
    folder = (path.absolute().parent / found.server.folder.expanduser()).resolve()
    return found.model_copy(update={"server": found.server.model_copy(update={"folder": folder})})


def filled(values: dict[str, str], what: str) -> dict[str, str]:
    """The values with `$NAME` replaced by environment variables. Raises BadConfig for one that is not set."""
    found = {}
    for key, value in values.items():
        for name in re.findall(r"\$(\w+)", value):
            if name not in os.environ:
                raise BadConfig(f"{what} {key!r} needs the environment variable {name}, which is not set")
        found[key] = re.sub(r"\$(\w+)", lambda match: os.environ[match[1]], value)
    return found


def _keys() -> list[str]:
    return [key for table in (McpConfig, Server, Entry, Check, Call) for key in table.model_fields]
