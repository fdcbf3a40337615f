"""Processes, as /proc tells of them, and waiting for what they do."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PATIENCE_S = 180.0


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> set[int]:
    """The processes that a process has started and that are still there."""
    told = (file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children"))
    return {int(child) for text in told for child in text.split()}


def unread(path: Path) -> int:
    """The bytes that this process has sent to whoever listens on a Unix socket and that lie there unread."""
    total = 0
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed since, or not connected
            if file.readlink().name.startswith("socket:"):
                with socket.socket(fileno=os.dup(int(file.name))) as ours:
                    if ours.family is socket.AF_UNIX and ours.getpeername() == str(path):
                        total += struct.unpack("i", fcntl.ioctl(ours, termios.TIOCOUTQ, bytes(4)))[0]
    return total


def wait_until(true: Callable[[], bool]) -> None:
    """Return once something is so; it may take three minutes."""
    end, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while not true():
        assert time.monotonic() < end, f"it did not come so far in {PATIENCE_S:g} s"
        pause.wait(0.05)
