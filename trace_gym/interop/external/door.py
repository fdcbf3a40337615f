"""The local server that external programs take for their model's: chat completions, whole or streamed.

Leaves out what is answered. The only importer of starlette and uvicorn here.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from trace_gym.core.errors import EnvironmentFailed

Answer: TypeAlias = tuple[int, Mapping[str, Any]]
Complete: TypeAlias = Callable[[dict[str, Any]], Awaitable[Answer]]

START_S = 10.0
STOP_S = 5


class Door:
    """Lifecycle: serves on this machine's loopback while anybody is admitted. Each guest has an address that
    nobody else knows."""

    def __init__(self) -> None:
        self._guests: dict[str, Complete] = {}
        self._serving: asyncio.Task[_Served] | None = None

    async def admit(self, guest: Complete) -> tuple[str, str]:
        """The base URL and the key at which `guest` will be asked. Raises EnvironmentFailed."""
        secret = secrets.token_urlsafe(24)
        self._guests[secret] = guest
        if self._serving is None:
            self._serving = asyncio.ensure_future(_Served.start(self._app()))
        served = await asyncio.shield(self._serving)
        return f"http://127.0.0.1:{served.port}/{secret}/v1", secret

    async def dismiss(self, guest: Complete) -> None:
        """Nobody is asked there any more. May be called for who was never admitted."""
        for secret in [name for name, admitted in self._guests.items() if admitted == guest]:
            del self._guests[secret]
        if not self._guests and self._serving is not None:
            serving, self._serving = self._serving, None
            await (await serving).stop()

    def _app(self) -> Starlette:
        async def models(_: Request) -> Response:
            return JSONResponse({"object": "list", "data": []})

        async def elsewhere(request: Request) -> Response:
            return _error(
                404, f"there is no {request.url.path.rpartition('/v1')[2]} here: ask /chat/completions"
            )

        return Starlette(
            routes=[
                Route("/{secret}/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/{secret}/v1/models", models),
                Route("/{rest:path}", elsewhere, methods=["GET", "POST"]),
            ]
        )

    async def _chat(self, request: Request) -> Response:
        guest = self._guests.get(request.path_params["secret"])
        if guest is None:
            return _error(404, "this episode is over")
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            return _error(400, f"the request is not valid JSON: {error}")
        if not isinstance(body, dict):
            return _error(400, f"a request is an object, got {type(body).__name__}")
        work = asyncio.ensure_future(guest(body))
        gone = asyncio.ensure_future(_gone(request))
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not work.done():
            work.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
        if work.cancelled():
            return _error(503, "this episode is over")
        status, answer = work.result()
        if status == 200 and body.get("stream"):
            usage = bool((body.get("stream_options") or {}).get("include_usage"))
            return StreamingResponse(_streamed(answer, usage=usage), media_type="text/event-stream")
        return JSONResponse(answer, status_code=status)


class _Served:
    """A running server. Lifecycle: `start`, `stop`."""

    def __init__(self, server: uvicorn.Server, port: int, task: asyncio.Task[None]) -> None:
        self.port = port
        self._server = server
        self._task = task

    @classmethod
    async def start(cls, app: Starlette) -> _Served:
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        socket = config.bind_socket()
        server = _Server(config)
        task = asyncio.ensure_future(server.serve(sockets=[socket]))
        clock = asyncio.get_running_loop().time
        until = clock() + START_S
        while not server.started:
            if task.done() or clock() > until:
                task.cancel()
                raise EnvironmentFailed("the proxy for external programs could not be started")
            await asyncio.sleep(0.005)
        return cls(server, socket.getsockname()[1], task)

    async def stop(self) -> None:
        self._server.should_exit = True
        await asyncio.wait({self._task}, timeout=STOP_S)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class _Server(uvicorn.Server):
    """Leaves signals to the program it is part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def _error(status: int, text: str) -> Response:
    return JSONResponse(error_of(text), status_code=status)


def error_of(text: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    """An error in the OpenAI shape."""
    return {"error": {"message": text, "type": kind, "param": None, "code": None}}


async def _gone(request: Request) -> None:
    """Returns when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _streamed(answer: Mapping[str, Any], *, usage: bool) -> AsyncIterator[str]:
    """A completion as server-sent events: all of it in one, then how it ended."""
    choice = answer["choices"][0]
    message = choice["message"]
    delta = {key: value for key, value in message.items() if value is not None and key != "tool_calls"}
    calls = message.get("tool_calls") or []
    if calls:
        delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(calls)]
    head = {key: value for key, value in answer.items() if key not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk"
    ended = {"index": 0, "delta": {}, "finish_reason": choice.get("finish_reason")}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**head, "choices": [ended]},
    ]
    if usage:
        chunks.append({**head, "choices": [], "usage": answer.get("usage")})
    for chunk in chunks:
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"
