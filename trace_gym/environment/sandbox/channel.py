"""The host's end of the channel into a sandbox: one request at a time to the agent program inside.

See `channel_agent.py` for the frames. Leaves out how the agent was started and what carries its bytes: any
`Wire`, a socket for one.
"""

from __future__ import annotations

import marshal
import py_compile
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from trace_gym.core.errors import SandboxFailed

AGENT_INSIDE = "/run/agent"  # where a sandbox shows, read-only, the folder of `install_agent`
AGENT = (
    "channel_child",
    "channel_spawn",
    "channel_fork",
    "channel_link",
    "channel_watch",
    "channel_agent",
)
"""The modules beside this one that make the agent, in the order in which they need each other."""
USER = 10001  # user and group of commands, inside and on the host
SHARED_MEMORY = "/dev/shm"  # lasts from command to command, so it is forked with the writable folders
_CHUNK = 1 << 16
_MARSHAL = 2  # a version that every Python 3 reads
_GRACE_S = 30.0


class Wire(Protocol):
    """What carries the bytes: non-blocking, and something that select(2) can wait for."""

    def fileno(self) -> int:
        """The descriptor to wait on, for reading and writing."""
        ...

    def send(self, data: memoryview, /) -> int:
        """Send some of `data`; how much. Raises BlockingIOError, OSError."""
        ...

    def recv(self, most: int, /) -> bytes:
        """What has come; empty: the other end is closed. Raises BlockingIOError, OSError."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class ChannelClosed(SandboxFailed):
    """The agent is gone or does not answer; the sandbox has to be started again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How a request ended. `status` is an exit code as a shell's."""

    status: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool
    truncated: bool
    over_memory: bool


class Channel:
    """A connection to one agent. Used by one thread at a time. Lifecycle: opened by `greet`, gone after
    `close` or ChannelClosed."""

    def __init__(self, wire: Wire, *, grace_s: float = _GRACE_S) -> None:
        """`wire` is open, and the channel's to close; `grace_s`: how long beyond a command's own limit the
        agent may be silent before it counts as dead."""
        self._frames = _Frames(wire)
        self._grace_s = grace_s

    def greet(self, *, timeout_s: float = 30.0) -> str:
        """Wait for the agent's first words: its Python's version.

        Raises ChannelClosed.
        """
        end = time.monotonic() + timeout_s
        while True:
            for kind, content in self._frames.exchange(end):
                if kind != b"H":
                    raise ChannelClosed(f"the sandbox's agent began with {kind!r}")
                return content.decode("ascii", "replace")

    def call(self, request: Mapping[str, Any], *, stdin: bytes | BinaryIO = b"") -> Reply:
        """Have a request carried out. Raises ChannelClosed; whatever else is raised (a `stdin` that cannot
        be read) leaves the channel unusable."""
        end = time.monotonic() + request["timeout_s"] + self._grace_s
        streams: dict[bytes, list[bytes]] = {b"O": [], b"E": []}
        self._frames.put(b"R", marshal.dumps(dict(request), _MARSHAL))
        pieces = _pieces(stdin)
        while True:
            while self._frames.pending < _CHUNK and (piece := next(pieces, None)) is not None:
                self._frames.put(b"I", piece)
            for kind, content in self._frames.exchange(end):
                if kind == b"X":
                    return _reply(content, streams)
                streams[kind].append(content)

    def close(self) -> None:
        """Close it; the agent then ends, and all processes with it."""
        self._frames.wire.close()


class _Frames:
    """Frames going out and coming in over a wire, neither waiting for the other."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._incoming = bytearray()
        self._outgoing = memoryview(b"")

    @property
    def pending(self) -> int:
        return len(self._outgoing)

    def put(self, kind: bytes, content: bytes) -> None:
        frame = kind + struct.pack(">I", len(content)) + content
        self._outgoing = memoryview(bytes(self._outgoing) + frame)

    def exchange(self, end: float) -> list[tuple[bytes, bytes]]:
        """Wait until something can be sent or has come; the frames that have come whole."""
        left_s = end - time.monotonic()
        if left_s <= 0:
            raise ChannelClosed("the sandbox's agent does not answer")
        poll = select.poll()
        poll.register(self.wire.fileno(), select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        poll.poll(left_s * 1000)
        try:
            if self._outgoing:
                self._outgoing = self._outgoing[self.wire.send(self._outgoing) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise ChannelClosed(f"the channel to the sandbox broke: {error}") from error
        self._receive()
        return self._whole()

    def _receive(self) -> None:
        try:
            data = self.wire.recv(4 * _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            raise ChannelClosed(f"the channel to the sandbox broke: {error}") from error
        if not data:
            raise ChannelClosed("the sandbox's agent is gone")
        self._incoming += data

    def _whole(self) -> list[tuple[bytes, bytes]]:
        found, at = [], 0
        while len(self._incoming) - at >= 5:
            (length,) = struct.unpack_from(">I", self._incoming, at + 1)
            if len(self._incoming) - at < 5 + length:
                break
            kind = bytes(self._incoming[at : at + 1])
            found.append((kind, bytes(self._incoming[at + 5 : at + 5 + length])))
            at += 5 + length
        del self._incoming[:at]
        return found


def _reply(report: bytes, streams: Mapping[bytes, list[bytes]]) -> Reply:
    status, timed_out, truncated, over_memory, microseconds = (int(part) for part in report.split())
    return Reply(
        status=status,
        stdout=b"".join(streams[b"O"]),
        stderr=b"".join(streams[b"E"]),
        seconds=microseconds / 1e6,
        timed_out=bool(timed_out),
        truncated=bool(truncated),
        over_memory=bool(over_memory),
    )


def agent_setup(uid: int | None, entrances: Sequence[int] = ()) -> str:
    """The agent's last argument: the user and group of commands (None: the agent's own) and the descriptors
    of the files by which it joins a control group."""
    return f"{'-' if uid is None else uid}:{','.join(map(str, entrances))}"


def _pieces(stdin: bytes | BinaryIO) -> Iterator[bytes]:
    """Standard input in pieces; an empty one ends it."""
    at = 0
    while True:
        piece = stdin[at : at + _CHUNK] if isinstance(stdin, bytes) else stdin.read(_CHUNK)
        at += len(piece)
        yield piece
        if not piece:
            return


def socket_pair() -> tuple[Channel, socket.socket]:
    """A channel and the socket that its agent inherits; close the latter once it has."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return Channel(ours), theirs


def install_agent(folder: Path) -> None:
    """Put the agent's program into a new folder, which `python3 -I -S` can run. Raises OSError."""
    package = folder / "trace_gym" / "environment" / "sandbox"
    package.mkdir(parents=True)
    for name in AGENT:
        module = package / f"{name}.py"
        module.write_bytes(Path(__file__).with_name(module.name).read_bytes())
        py_compile.compile(str(module), doraise=True)  # the sandbox's Python is often of this version
    start = "from trace_gym.environment.sandbox.channel_agent import main\n\nmain()\n"
    (folder / "__main__.py").write_text(start, encoding="ascii")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
