"""A chat endpoint on this machine that answers without a model: which tool it calls depends on the request
alone, so that what is played against it is repeated exactly. For drills. Leaves out streaming.
"""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any


class Endpoint:
    """Serves from construction until `close`. `asked` counts the requests; a context manager."""

    def __init__(self) -> None:
        self.asked = 0
        counting = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                content = self.rfile.read(length)
                if len(content) < length:  # who asks was killed in mid-sentence
                    self.close_connection = True
                    return
                body = json.loads(content)
                with counting:
                    endpoint.asked += 1
                told = json.dumps(answer(body)).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(told)))
                self.end_headers()
                try:
                    self.wfile.write(told)
                except OSError:  # who asked was killed meanwhile
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def address(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """A completion that calls one of the request's tools with whole numbers from 1 to 9."""
    told = json.dumps([request["messages"], request.get("seed")], sort_keys=True)
    rng = Random(hashlib.blake2b(told.encode(), digest_size=8).digest())
    tool = rng.choice(request["tools"])["function"]
    arguments = {name: rng.randint(1, 9) for name in sorted(tool["parameters"].get("properties", {}))}
    function = {"name": tool["name"], "arguments": json.dumps(arguments)}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }
    usage = {"prompt_tokens": len(told) // 4, "completion_tokens": 8}
    return {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage}
