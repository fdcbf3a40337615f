"""One run of an external program: its command started, its output kept, its whole process group ended.

Leaves out what it says to a model.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

from trace_gym.core.errors import BadConfig

TASK = "{task}"
KEPT_BYTES = 256 * 1024
LONGEST_WORD_BYTES = 128 * 1024
LAST_WORDS_S = 2.0


class Program:
    """Lifecycle: `start`, any number of `wait`, `close` exactly once. Invariant: nothing of its process group
    outlives `close`."""

    def __init__(self, process: asyncio.subprocess.Process, prompt: bytes) -> None:
        self._process = process
        self._said = [bytearray(), bytearray()]
        streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
        pumps = [self._keep(stream, kept) for stream, kept in zip(streams, self._said, strict=True)]
        self._pumps = [asyncio.ensure_future(work) for work in (*pumps, self._feed(prompt))]

    @classmethod
    async def start(cls, words: Sequence[str], task: str, environment: Mapping[str, str]) -> Program:
        """Start a command; the task takes the place of `{task}` in its words, else is its standard input.

        Raises BadConfig where the command cannot be started.
        """
        spoken = any(TASK in word for word in words)
        if spoken and len(task.encode()) >= LONGEST_WORD_BYTES:
            raise BadConfig(f"a task of {len(task)} characters is too long a word: leave {TASK} out")
        given = [word.replace(TASK, task.replace("\0", " ")) for word in words]
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *given,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        except OSError as error:
            raise BadConfig(f"the command {words[0]!r} cannot be started: {error}") from error
        return cls(process, b"" if spoken else task.encode())

    @property
    def output(self) -> str:
        """The end of its standard output."""
        return self._said[0].decode(errors="replace")

    @property
    def complaint(self) -> str:
        """The last words of its standard error, else of its output, in one line."""
        said = self._said[1] or self._said[0]
        return " | ".join(said.decode(errors="replace").strip().splitlines()[-3:])[-500:] or "(no words)"

    async def wait(self) -> int:
        """Its status, once it has ended and its output is in (children may hold the output open)."""
        status = await self._process.wait()
        await asyncio.wait(self._pumps, timeout=LAST_WORDS_S)
        return status

    async def close(self) -> None:
        """End it and everything it started in its process group."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def _feed(self, prompt: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(prompt)
            await self._process.stdin.drain()
        self._process.stdin.close()

    async def _keep(self, stream: asyncio.StreamReader, kept: bytearray) -> None:
        while part := await stream.read(65536):
            kept += part
            del kept[:-KEPT_BYTES]
