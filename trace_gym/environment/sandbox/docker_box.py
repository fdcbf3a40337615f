"""A container with its agent, before and between the sandboxes that use it.

Between two of them it holds nothing but its agent: no process, no writable folder's content. Leaves out when
containers are started (`docker_state.py`).
"""

from __future__ import annotations

import json
import select
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from trace_gym.core.errors import SandboxFailed
from trace_gym.core.sandbox import SandboxLimits
from trace_gym.environment.sandbox.channel import AGENT, Channel, agent_setup
from trace_gym.environment.sandbox.containers import ContainerSpec, Daemon
from trace_gym.environment.sandbox.layers import Slot
from trace_gym.environment.sandbox.seccomp import MACHINES, filter_program
from trace_gym.environment.sandbox.way_out import Host, WayOut, doors

Passage: TypeAlias = tuple[tuple[str, ...], dict[str, str]]

GRACE_S = 30.0
_GREET_S = 60.0
_PACKAGE = "trace_gym.environment.sandbox"
_PARENTS = ("trace_gym", "trace_gym.environment", _PACKAGE)
_START_AT, _VARIABLE = "TRACE_GYM_START", "TRACE_GYM_AGENT"
_UNPACK = f"""
import json, os, sys, types
sources, given = json.loads(os.environ.pop("{_VARIABLE}"))
for name, source in [*((parent, "") for parent in {_PARENTS}), *sources.items()]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
"""
_AGENT = _UNPACK + f'sys.modules["{_PACKAGE}.channel_filter"].install(given)\nmodule.main()\n'
_PASSAGE = _UNPACK + "module.start(given)\n"
_BOOT = f"import os; exec(os.environ.pop('{_START_AT}'))"
_SETUP = agent_setup(None)


@dataclass(frozen=True, slots=True)
class BoxKind:
    """What decides which container a sandbox can use: the image's hash, the folders that commands may change,
    the limits that the daemon holds, the hosts that may be reached. `disk_mb` bounds a file, for as long as
    the container lasts; `scratch_mb` is the size of all folders together where they live in memory, else 0.
    """

    image: str
    folders: tuple[str, ...]
    memory_mb: int
    cpus: float
    pids: int
    disk_mb: int
    allow: tuple[Host, ...] = ()
    scratch_mb: int = 0

    @property
    def limits(self) -> SandboxLimits:
        """The limits that the daemon holds."""
        return SandboxLimits(memory_mb=self.memory_mb, cpus=self.cpus, pids=self.pids)

    def shares(self) -> dict[str, int]:
        """KiB for each folder that lives in memory: three quarters for the first, so that all together stay
        within what the sandbox may write."""
        first, others = self.folders[0], self.folders[1:]
        rest = self.scratch_mb << 8
        shares = {name: rest // len(others) for name in others}
        return {first: (self.scratch_mb << 10) - sum(shares.values()), **shares}


def agent_command(python: tuple[str, ...]) -> tuple[str, ...]:
    """The words that start the agent, talking over standard input and output."""
    return (*python, "-I", "-S", "-c", _BOOT, "0,1", _SETUP)


def agent_environment() -> dict[str, str]:
    """The agent's program. It travels in the environment of its process: the daemon may be of another
    machine, and every program inside may read the command line, but not this environment."""
    programs = {machine: filter_program(machine) for machine in MACHINES}
    filters = {machine: b64encode(code).decode() for machine, code in programs.items() if code is not None}
    sources = _sources("channel_filter", *AGENT)
    return {_START_AT: _AGENT, _VARIABLE: json.dumps([sources, filters])}


def _sources(*modules: str) -> dict[str, str]:
    """The text of modules that run inside, in the order they import each other."""
    here = Path(__file__)
    return {f"{_PACKAGE}.{name}": here.with_name(f"{name}.py").read_text("utf-8") for name in modules}


def passage(python: tuple[str, ...], command: Sequence[str], allowed: Sequence[Host]) -> Passage:
    """A command that begins with the inner end of the way out to the allowed hosts; and the environment that
    it needs for that, which the command itself does not see."""
    words = (*python, "-I", "-S", "-c", _BOOT, *command)
    sources = _sources("relay", "channel_way_out")
    return words, {_START_AT: _PASSAGE, _VARIABLE: json.dumps([sources, doors(allowed)])}


class DockerBox:
    """A running container, its channel, and the slot its folders appear in (None: they are its own).
    Lifecycle: running from construction until `stop`; it also ends when this process does."""

    def __init__(
        self,
        daemon: Daemon,
        spec: ContainerSpec,
        *,
        slot: Slot | None,
        way_out: WayOut | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        """`way_out`: the open sockets that it is shown; `grace_s`: as for `Channel`. Raises SandboxFailed."""
        self.way_out = way_out
        self._grace_s = grace_s
        self.slot = slot
        self._daemon = daemon
        self._spec = spec
        self.restart()

    def restart(self) -> None:
        """Start a container after the last one has ended. Raises SandboxFailed."""
        self.container, self._wire = self._daemon.start(self._spec)
        self.channel = Channel(self._wire, grace_s=self._grace_s)
        try:
            self.channel.greet(timeout_s=_GREET_S)
        except SandboxFailed as error:
            said = self._wire.said.decode("utf-8", "replace").strip()
            self.stop()
            raise SandboxFailed(f"the container's agent did not start: {said or error}") from error

    @property
    def alive(self) -> bool:
        """Is it still connected, with nothing said unasked?"""
        try:
            waiting = select.poll()
            waiting.register(self._wire.fileno(), select.POLLIN)
            return not waiting.poll(0)
        except (OSError, ValueError):
            return False

    def stop(self) -> None:
        """End the container. May be called again."""
        self.channel.close()
        with suppress(SandboxFailed):
            self._daemon.remove("container", self.container)


def bound(slot: Slot, folders: tuple[str, ...]) -> dict[str, Path]:
    """Which folder inside shows which folder of a slot."""
    return dict(zip(folders, slot.folders, strict=True))
