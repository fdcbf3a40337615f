"""A TCP port that leads to a Unix socket, so that a server behind it can be reached by URL, and be lost."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path


class Bridge:
    """Lifecycle: a context manager; `cut` ends all connections and lets no more in. `asked`: bytes towards
    the server."""

    def __init__(self, socket: Path) -> None:
        self.asked = 0
        self._socket = socket
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Bridge:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._pass, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._do(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Be lost."""
        self._do(self._close())

    def _do(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _finish(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, towards = await asyncio.open_unix_connection(str(self._socket))
        self._open |= {writer, towards}
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._pump(reader, towards, count=True), self._pump(there, writer))
        self._open -= {writer, towards}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool = False
    ) -> None:
        try:
            while data := await reader.read(65536):
                self.asked += len(data) if count else 0
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
