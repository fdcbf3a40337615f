"""An MCP server for tests, over its streams or (with a port) over HTTP: a list with a secret habit or two."""

import os
import sys
import time
from itertools import count

if sys.argv[1:] == ["sleepy"]:
    time.sleep(60)
if sys.argv[1:] == ["broken"]:
    sys.exit("cannot open the database")

from mcp.server.mcpserver import MCPServer

server = MCPServer("odd", log_level="ERROR")
items: list[str] = []


@server.tool()
def add(item: str) -> str:
    """Add an item."""
    items.append(item)
    return f"{len(items)} items"


@server.tool()
def listed() -> list[str]:
    """All items."""
    return items


@server.tool()
def clear() -> str:
    """Forget them."""
    items.clear()
    return "empty"


@server.tool()
def ticket(numbers: object = None) -> str:
    """A number that no two processes share."""
    return f"ticket {os.getpid()} {time.monotonic_ns()}"


@server.tool()
def refuse() -> str:
    """Never does it."""
    raise ValueError("not today")


@server.tool()
def hang() -> str:
    """Never answers."""
    with open(os.environ["PIDS"], "a") as file:
        file.write(f"{os.getpid()} ")
    for _ in count():
        time.sleep(60)
    return ""


@server.tool()
def die() -> str:
    """Ends the server."""
    print("so long", file=sys.stderr, flush=True)
    os._exit(3)


if sys.argv[1:]:
    server.run("streamable-http", port=int(sys.argv[1]))
else:
    server.run("stdio")
