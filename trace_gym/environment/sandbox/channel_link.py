"""The agent's end of the channel: frames on two descriptors. See `channel_agent.py`, with which it runs."""

from __future__ import annotations

import os
import struct

CHUNK = 1 << 16


class Gone(Exception):
    """The host has closed its end."""


class Link:
    """The two directions of the channel, and frames on them."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming, self.outgoing = incoming, outgoing
        self.buffer = bytearray()

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Send a frame. Raises Gone."""
        data = memoryview(kind + struct.pack(">I", len(content)) + content)
        while data:
            try:
                data = data[os.write(self.outgoing, data) :]
            except OSError as error:
                raise Gone from error

    def receive(self) -> tuple[bytes, bytes]:
        """The next frame, waiting for it."""
        while True:
            frame = self.frame()
            if frame is not None:
                return frame
            self.fill()

    def fill(self) -> None:
        """Read what has come. Raises Gone."""
        try:
            data = os.read(self.incoming, CHUNK)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self.buffer += data

    def frame(self) -> tuple[bytes, bytes] | None:
        """The next frame if it has come whole, else None."""
        if len(self.buffer) < 5:
            return None
        length = struct.unpack_from(">I", self.buffer, 1)[0]
        if len(self.buffer) < 5 + length:
            return None
        kind, content = bytes(self.buffer[:1]), bytes(self.buffer[5 : 5 + length])
        del self.buffer[: 5 + length]
        return kind, content
