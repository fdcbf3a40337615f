"""The inner end of the way out of a sandbox: stands before a command, listens for it, and becomes it.

For each allowed host a loopback address and port, where the sandbox's names lead, is relayed to a socket that
the host has put into a folder: no network device is involved, and nothing else can be reached. Runs inside
the sandbox: Python 3.8, standard library, and `relay.py`. Leaves out what the host does (`way_out.py`).
"""

from __future__ import annotations

import os
import socket
import sys
from functools import partial

from trace_gym.environment.sandbox.relay import relay


def main(doors: list[tuple[str, int, str]], command: list[str]) -> None:
    """Relay each (address, port) to the socket at a path, in a process beside the command. Never returns."""
    listening = {}
    for address, port, path in doors:
        listener = socket.create_server((address, port))
        listening[listener] = partial(_connect, path)
    if os.fork() == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        relay(listening)
        os._exit(0)
    for listener in listening:
        listener.close()
    try:
        os.execvp(command[0], command)
    except (FileNotFoundError, NotADirectoryError):
        os.write(2, f"{command[0]}: command not found\n".encode("utf-8", "surrogateescape"))
        os._exit(127)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode("utf-8", "surrogateescape"))
        os._exit(126)


def _connect(path: str) -> socket.socket:
    far = socket.socket(socket.AF_UNIX)
    try:
        far.connect(path)
    except OSError:
        far.close()
        raise
    return far


def start(doors: list[tuple[str, int, str]]) -> None:
    """`main` with the command from the command line."""
    main(doors, sys.argv[1:])
