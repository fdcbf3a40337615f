"""The outer end of the way out of a sandbox: sockets in a folder, each leading to one allowed host.

The sandbox has no network; it is shown the folder, and its names for the allowed hosts lead to loopback
addresses behind which `channel_way_out.py` listens. So what may be reached is decided here, and the names are
resolved here. Leaves out protocols: it passes TCP on as it is.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trace_gym.core.errors import BadConfig, SandboxFailed, boundary
from trace_gym.environment.sandbox.relay import relay

SHOWN_AT = "/.trace-gym-hosts"
LOCAL = "127.0.0.1"
_CONNECT_S = 10.0
_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Host:
    """An allowed host: its name and port, and the loopback address that stands for it inside. `localhost` is
    this machine, seen from outside the sandbox."""

    name: str
    port: int
    address: str


def hosts(allow: Sequence[str]) -> tuple[Host, ...]:
    """What `SandboxSpec.allow` means. Raises BadConfig."""
    found: list[Host] = []
    addresses: dict[str, str] = {}
    for text in allow:
        name, _, digits = text.rpartition(":")
        port = int(digits) if re.fullmatch(r"[0-9]{1,5}", digits) else 0
        if not _NAME.fullmatch(name) or not 0 < port < 1 << 16 or _is_address(name):
            raise BadConfig(f"an allowed host is written NAME:PORT, with a name and no address, got {text!r}")
        if len(addresses) > 200:
            raise BadConfig(f"at most 200 hosts can be allowed, got {len(allow)}")
        addresses.setdefault(name, LOCAL if name == "localhost" else f"127.0.1.{len(addresses) + 1}")
        found.append(Host(name, port, addresses[name]))
    return tuple(dict.fromkeys(found))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class WayOut:
    """The open sockets of one sandbox. Lifecycle: listening from construction until `close`."""

    def __init__(self, folder: Path, allowed: Sequence[Host]) -> None:
        """`folder` is new and gets a socket for each host. Raises SandboxFailed."""
        self.folder = folder
        self._stop, theirs = socket.socketpair()
        self._stopped = theirs
        self._threads: list[threading.Thread] = []
        with boundary(SandboxFailed, OSError, what="cannot open a way out of a sandbox"):
            folder.mkdir(mode=0o755)
            for index, host in enumerate(allowed):
                listener = socket.socket(socket.AF_UNIX)
                path = folder / str(index)
                listener.bind(str(path))
                path.chmod(0o666)
                listener.listen()
                onwards = partial(socket.create_connection, (host.name, host.port), _CONNECT_S)
                serve = partial(relay, {listener: onwards}, stop=theirs)
                self._threads.append(threading.Thread(target=serve, name=f"to {host.name}"))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End all connections. May be called again."""
        self._stop.close()
        for thread in self._threads:
            thread.join()
        self._stopped.close()


def doors(allowed: Sequence[Host]) -> list[tuple[str, int, str]]:
    """What `channel_way_out.start` takes."""
    return [(host.address, host.port, f"{SHOWN_AT}/{index}") for index, host in enumerate(allowed)]
