"""The Python that runs the agent in images of tasks, which may have none, or one of their own making.

A volume holds the Python image's files; containers show it read-only, and its Python is started through its
own loader with its own libraries, so it runs on any root of the same machine type. Leaves out the agent.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

from trace_gym.core.errors import SandboxFailed
from trace_gym.core.sandbox import SandboxLimits
from trace_gym.environment.sandbox.command import request
from trace_gym.environment.sandbox.containers import ContainerSpec, Daemon, Image
from trace_gym.environment.sandbox.docker_box import DockerBox, agent_command, agent_environment

SHOWN_AT = "/.trace-gym"
_FILLED = ".filled"
_LOOK = """
import ctypes, fcntl, json, os, select, socket, struct, sys
maps = {line.split()[5] for line in open("/proc/self/maps") if line.split()[5:] and "/" in line.split()[5]}
print(json.dumps([os.path.realpath(sys.executable), sorted(maps)]))
"""


@dataclass(frozen=True, slots=True)
class Python:
    """How to start Python in a container: the first words of the command, and volumes to show, by folder."""

    words: tuple[str, ...]
    volumes: dict[str, str]


class Runtime:
    """Finds the Python for images in one daemon. Safe to use from many threads."""

    def __init__(self, daemon: Daemon, base: Image, *, labels: Mapping[str, str]) -> None:
        """`base` is the Python image; `labels` go on containers. Does nothing yet."""
        self._labels = labels
        self._daemon = daemon
        self._base = base
        self._lock = Lock()
        self._elsewhere: Python | None = None

    def python(self, image: str) -> Python:
        """The Python for an image, by its hash. Raises SandboxFailed."""
        own = Python(("python3",), {})
        if image == self._base.id:
            return own
        with self._lock:
            if self._elsewhere is None:
                self._elsewhere = Python(self._words(own), {SHOWN_AT: self._volume()})
            return self._elsewhere

    def _words(self, own: Python) -> tuple[str, ...]:
        """Look at a Python that runs: its program, its loader, the folders of its libraries."""
        limits = SandboxLimits()
        command, env = agent_command(own.words), agent_environment()
        spec = ContainerSpec(
            image=self._base.id, command=command, env=env, limits=limits, labels=self._labels
        )
        box = DockerBox(self._daemon, spec, slot=None)
        try:
            fields = {"argv": ["python3", "-I", "-S", "-c", _LOOK], "cwd": "/", "env": {"PATH": os.defpath}}
            reply = box.channel.call(request("run", limits, grouped=True, fields=fields))
        finally:
            box.stop()
        if reply.status:
            raise SandboxFailed(f"the Python image does not run: {reply.stderr.decode(errors='replace')}")
        program, files = json.loads(reply.stdout)
        libraries = [file for file in files if ".so" in os.path.basename(file) and "/python" not in file]
        loader = next(file for file in libraries if os.path.basename(file).startswith("ld-"))
        folders = dict.fromkeys(SHOWN_AT + os.path.dirname(file) for file in libraries)
        return (SHOWN_AT + loader, "--library-path", ":".join(folders), SHOWN_AT + program)

    def _volume(self) -> str:
        """The volume with the Python image's files, filled if it is new or was left half filled."""
        name = f"trace-gym-runtime-{self._base.id.removeprefix('sha256:')[:12]}"
        self._daemon.volume(name, purpose="base")
        carrier = self._daemon.shelve(self._base.id, labels=self._labels, volumes={SHOWN_AT: name})
        try:
            if not any(self._daemon.pack(carrier, f"{SHOWN_AT}/{_FILLED}")):
                source = self._daemon.shelve(self._base.id, labels=self._labels)
                try:
                    self._daemon.unpack(carrier, SHOWN_AT, self._daemon.pack(source, "/."))
                finally:
                    self._daemon.remove("container", source)
                self._daemon.unpack(carrier, SHOWN_AT, [_mark()])
        finally:
            self._daemon.remove("container", carrier)
        return name


def _mark() -> bytes:
    """A tar file with the empty file that says that all has been copied."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(_FILLED))
    return packed.getvalue()
