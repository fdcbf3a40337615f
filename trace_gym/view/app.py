"""The viewer's ASGI app: one page, and JSON for its questions. Needs the extra `view`; the sole importer of
starlette and uvicorn.

Serves this machine only, and nothing but run folders below the one it was given. Leaves out the questions
themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import create_server
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from trace_gym.core.errors import BadConfig, RunFolderError, TraceGymError
from trace_gym.store import FILE
from trace_gym.view import questions, timeline
from trace_gym.view.page import assembled
from trace_gym.view.runfile import RunFile

DEEPEST = 4
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:"
)


class Shelf:
    """The runs below a folder, or the one run that it is. Invariant: a run is opened once."""

    def __init__(self, root: Path) -> None:
        """Raises RunFolderError where there is nothing to look at."""
        self.root = root
        self._open: dict[str, RunFile] = {}
        if not root.is_dir():
            raise RunFolderError(f"there is no folder {root}")
        if not self.names():
            raise RunFolderError(f"{root} holds no run; name a run folder or a folder that holds some")

    def names(self) -> list[str]:
        """The runs as paths relative to the root, `.` for the root itself."""
        found = []
        for depth in range(DEEPEST + 1):
            found += [path.parent for path in self.root.glob("*/" * depth + FILE)]
        return sorted(str(folder.relative_to(self.root)) for folder in found)

    def run(self, name: str) -> RunFile:
        """The run of that name. Raises BadConfig, RunFolderError."""
        if name not in self._open:
            if name not in self.names():
                raise BadConfig(f"there is no run {name!r}; known: {', '.join(self.names())}")
            self._open[name] = RunFile(self.root / name)
        return self._open[name]

    def heads(self) -> list[dict[str, Any]]:
        """The head of every run that can be read, newest first."""
        heads = []
        for name in self.names():
            with suppress(RunFolderError):
                heads.append({"run": name, **self.run(name).head()})
        return sorted(heads, key=lambda head: -float(head["created_at"]))


def make_app(root: Path) -> Starlette:
    """The app over the runs below `root`. Raises RunFolderError where there is none."""
    shelf = Shelf(root)

    def asked(answer: Callable[[Request], Any]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            try:
                return JSONResponse(answer(request))
            except (TraceGymError, KeyError, ValueError) as error:
                return JSONResponse({"error": str(error)}, status_code=404)

        return endpoint

    def page(_: Request) -> Response:
        return HTMLResponse(assembled(), headers={"content-security-policy": POLICY})

    def run(request: Request) -> RunFile:
        return shelf.run(request.query_params["run"])

    def tasks(request: Request) -> Any:
        given = request.query_params
        return questions.tasks(
            run(request),
            search=given.get("search", ""),
            suite=given.get("suite", ""),
            outcome=given.get("outcome", ""),
            sort=given.get("sort", "step"),
            down=given.get("down") == "1",
            page=int(given.get("page", "0")),
            step=int(given["step"]) if given.get("step") else None,
        )

    def place(request: Request, *names: str) -> list[int]:
        return [int(request.query_params[name]) for name in names]

    def turn(request: Request) -> Any:
        at = place(request, "step", "tree", "node")
        return {**questions.turn(run(request), *at), **timeline.seen(run(request), *at)}

    def picture(request: Request) -> Response:
        try:
            found = timeline.picture(run(request), *place(request, "step", "tree", "node"))
        except (TraceGymError, KeyError, ValueError) as error:
            return JSONResponse({"error": str(error)}, status_code=404)
        return Response(found, media_type="image/png", headers={"cache-control": "max-age=3600"})

    routes = {
        "/api/runs": lambda _: shelf.heads(),
        "/api/head": lambda request: run(request).head(),
        "/api/overview": lambda request: run(request).overview(),
        "/api/spending": lambda request: run(request).spending(),
        "/api/tasks": tasks,
        "/api/tree": lambda request: questions.tree(run(request), *place(request, "step", "tree")),
        "/api/turn": turn,
        "/api/timeline": lambda request: timeline.timeline(
            run(request),
            *(int(given) if (given := request.query_params.get(n)) else None for n in ("step", "window")),
        ),
        "/api/compare": lambda request: questions.compare(
            run(request), shelf.run(request.query_params["other"])
        ),
    }
    others = [Route("/", page), Route("/api/picture", picture)]
    app = Starlette(routes=[*others, *(Route(at, asked(answer)) for at, answer in routes.items())])
    app.add_middleware(GZipMiddleware, minimum_size=2000)
    return app


def serve(root: Path, *, port: int, ready: Callable[[str], None]) -> None:
    """Serve on this machine's loopback until interrupted; `ready` hears the address. Raises RunFolderError,
    and OSError where the port is taken."""
    config = uvicorn.Config(
        make_app(root), host="127.0.0.1", port=port, log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    with create_server((config.host, port)) as socket:  # early guests wait in line
        ready(f"http://127.0.0.1:{socket.getsockname()[1]}/")
        server.run(sockets=[socket])
