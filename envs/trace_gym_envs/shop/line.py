"""The line to the shop: requests answered by the application in process, over httpx, on a private event loop.
The sole importer of httpx among the environments.

Leaves out what a browser makes of the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Final

import httpx

from trace_gym_envs.shop.app import Till, make_app
from trace_gym_envs.shop.database import Database

ORIGIN: Final = "http://shop.test"
TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `headers` have lower-case names."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str | None:
        """The first header of a name; None if there is none."""
        return next((value for key, value in self.headers if key == name), None)

    def cookies(self) -> dict[str, str]:
        """The cookies that a browser must keep."""
        jar = SimpleCookie()
        for name, value in self.headers:
            if name == "set-cookie":
                jar.load(value)
        return {name: morsel.value for name, morsel in jar.items()}


class Line:
    """One client and its loop, on the thread that uses it. Lifecycle: opened at the first request, closed by
    its owner; may be used again after that."""

    def __init__(self) -> None:
        self._till: Till | None = None
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def request(
        self,
        database: Database,
        method: str,
        path: str,
        *,
        cookies: Mapping[str, str],
        form: bytes | None = None,
    ) -> Answer:
        """Ask the shop over `database` for a path of its own; `form` is a body as browsers encode it.

        Raises httpx.HTTPError, httpx.InvalidURL, TimeoutError.
        """
        client, loop = self._opened(database)
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        if form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        request = client.build_request(method, f"{ORIGIN}{path}", headers=headers, content=form)
        got = loop.run_until_complete(client.send(request))
        client.cookies.jar.clear()
        return Answer(got.status_code, got.content, tuple(got.headers.multi_items()))

    def close(self) -> None:
        """Close client and loop. May be called again."""
        if self._loop is not None and self._client is not None:
            self._loop.run_until_complete(self._client.aclose())
            self._loop.close()
        self._client = self._loop = self._till = None

    def _opened(self, database: Database) -> tuple[httpx.AsyncClient, asyncio.AbstractEventLoop]:
        if self._client is None or self._loop is None or self._till is None:
            self._till = Till(database)
            transport = httpx.ASGITransport(make_app(self._till))
            self._client = httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=TIMEOUT_S)
            self._loop = asyncio.new_event_loop()
        self._till.database = database
        return self._client, self._loop
