"""The wire of the channel where a container carries it: the attached socket of its first process.

What comes in is wrapped in the daemon's frames (a header of 8 bytes: which of the two output streams, three
zeros, the length as big-endian 32 bits) and is unwrapped here. Leaves out what is said (`channel.py`).
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Any

_ERROR = 2
_HEADER = 8
_KEPT = 2000


class Attached:
    """A `Wire`. Closing it makes the container see the end of its input. `said` holds the end of what came on
    standard error: the last words of a container that cannot run its program."""

    def __init__(self, found: Any) -> None:
        """`found` is what the client library returns for an attached socket."""
        self._found = found
        self._socket: socket.socket = getattr(found, "_sock", found)
        self._socket.setblocking(False)
        self._header = b""
        self._left = 0
        self.said = b""

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def send(self, data: memoryview, /) -> int:
        """Send some of `data`; how much. Raises BlockingIOError, OSError."""
        return self._socket.send(data)

    def recv(self, most: int, /) -> bytes:
        """What has come on standard output; empty: it has ended. Raises BlockingIOError, OSError."""
        data = self._socket.recv(most)
        if not data:
            return b""
        found = self._unwrap(data)
        if not found:
            raise BlockingIOError
        return found

    def close(self) -> None:
        """Hang up. May be called again."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._socket.close()
            self._found.close()

    def _unwrap(self, data: bytes) -> bytes:
        found: list[bytes] = []
        at = 0
        while at < len(data):
            if not self._left:
                more = data[at : at + _HEADER - len(self._header)]
                self._header += more
                at += len(more)
                if len(self._header) < _HEADER:
                    break
                self._stream, self._left = struct.unpack(">BxxxL", self._header)
                self._header = b""
                continue
            piece = data[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            if self._stream == _ERROR:
                self.said = (self.said + piece)[-_KEPT:]
            else:
                found.append(piece)
        return b"".join(found)
