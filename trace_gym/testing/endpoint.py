"""A chat endpoint on this machine that answers by a rule: for tests of whatever asks one.

Leaves out a model; the rule sees each request's body and says status, headers and answer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

Answer: TypeAlias = tuple[int, dict[str, str], Any]
"""Status, headers, and what is sent: text as it is, anything else as JSON."""


@dataclass(slots=True)
class Endpoint:
    """What was `asked` so far, with which `keys`; `url` is its base URL."""

    rule: Callable[[dict[str, Any]], Answer]
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(rule: Callable[[dict[str, Any]], Answer]) -> Iterator[Endpoint]:
    """Serve while inside; `rule` is called on a thread per request."""
    endpoint = Endpoint(rule)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            endpoint.asked.append({"path": self.path, **body})
            endpoint.keys.append(self.headers.get("authorization"))
            status, headers, answer = endpoint.rule(body)
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def said(content: str | None = None, *calls: tuple[str, str], **usage: Any) -> Answer:
    """A completion that says `content` and makes `calls`, each a tool's name and its arguments as text."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"id": str(place), "type": "function", "function": {"name": name, "arguments": arguments}}
            for place, (name, arguments) in enumerate(calls)
        ]
    ended = "tool_calls" if calls else "stop"
    choice = {"index": 0, "message": message, "finish_reason": ended}
    return 200, {}, {"id": "1", "created": 0, "model": "m", "choices": [choice], "usage": usage}
