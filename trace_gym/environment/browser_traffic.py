"""What a page asks the network for: handed to the tab's owner if it is for an own origin, else aborted.

Leaves out what is answered.
"""

from __future__ import annotations

import asyncio
import base64
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from trace_gym.environment.browser_playwright import CDPSession, Error
from trace_gym.environment.browser_wire import Inbox, Request, Response

MOST_BODY: Final = 32 << 20
LOAD_PATIENCE_S: Final = 5.0
"""How long a request counts as under way; some never say that they have ended."""


class Traffic:
    """Pauses every request of a page and has it answered. All of it runs on the driver's thread.

    `begun` counts the requests so far.
    """

    def __init__(self, session: CDPSession, origins: tuple[str, ...], inbox: Inbox) -> None:
        self.begun = 0
        self._paused_now = 0
        self._loading: dict[str, float] = {}
        self._session = session
        self._origins = origins
        self._inbox = inbox
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """From here on nothing passes."""
        self._session.on("Fetch.requestPaused", self._paused)
        self._session.on("Network.requestWillBeSent", self._sent)
        self._session.on("Network.loadingFinished", self._ended)
        self._session.on("Network.loadingFailed", self._ended)
        await self._session.send("Network.enable", {"maxTotalBufferSize": 1, "maxResourceBufferSize": 1})
        await self._session.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})

    @property
    def busy(self) -> bool:
        """Is the page waiting for an answer, or for the rest of one?"""
        recent = self._now() - LOAD_PATIENCE_S
        return self._paused_now > 0 or any(sent > recent for sent in self._loading.values())

    def forget(self) -> None:
        """The document was replaced: nobody waits any more for what the old one has asked for."""
        self._loading.clear()

    def _sent(self, event: dict[str, Any]) -> None:
        self.begun += 1
        self._loading[event["requestId"]] = self._now()

    def _ended(self, event: dict[str, Any]) -> None:
        self._loading.pop(event["requestId"], None)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _paused(self, event: dict[str, Any]) -> None:
        self._paused_now += 1
        task = asyncio.ensure_future(self._answer(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, event: dict[str, Any]) -> None:
        try:
            await self._decide(event["requestId"], event["request"], event.get("resourceType", ""))
        except Error:
            return  # The page has gone on: nobody waits for this answer.
        finally:
            self._paused_now -= 1

    async def _decide(self, identifier: str, asked: dict[str, Any], kind: str) -> None:
        parts = urlsplit(asked["url"])
        if f"{parts.scheme}://{parts.netloc}".lower() not in self._origins:
            reason = {"requestId": identifier, "errorReason": "BlockedByClient"}
            await self._session.send("Fetch.failRequest", reason)
            return
        if kind == "Other" and parts.path == "/favicon.ico":
            response = Response(404)
        else:
            response = await self._asked(_request(asked))
        await self._session.send(
            "Fetch.fulfillRequest",
            {
                "requestId": identifier,
                "responseCode": response.status,
                "responsePhrase": _phrase(response.status),
                "responseHeaders": [{"name": name, "value": value} for name, value in response.headers],
                "body": base64.b64encode(response.body).decode("ascii"),
            },
        )

    async def _asked(self, request: Request) -> Response:
        """The owner's answer, given on the owner's thread."""
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def given(response: Response) -> None:
            if not answer.done():
                answer.set_result(response)

        self._inbox((request, given))
        return await answer


def _request(asked: dict[str, Any]) -> Request:
    headers = {name.lower(): str(value) for name, value in asked["headers"].items()}
    parts = [
        base64.b64decode(entry["bytes"]) for entry in asked.get("postDataEntries", ()) if "bytes" in entry
    ]
    body = b"".join(parts) if parts else str(asked.get("postData", "")).encode("utf-8", "replace")
    return Request(asked["method"], asked["url"].partition("#")[0], headers, body[:MOST_BODY])


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
