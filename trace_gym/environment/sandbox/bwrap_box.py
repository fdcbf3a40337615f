"""A box: a bubblewrap name space with its agent, before and between the episodes that use it.

Between two sandboxes a box holds nothing but its agent: no process, no writable folder. Leaves out the files
(`layers.py`) and what a sandbox promises (`sandbox_bwrap.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

from trace_gym.core.errors import SandboxFailed, boundary
from trace_gym.environment.sandbox.cgroups import ControlGroup
from trace_gym.environment.sandbox.channel import AGENT_INSIDE, USER, agent_setup, socket_pair
from trace_gym.environment.sandbox.channel_spawn import CAP_SYS_NICE, holds
from trace_gym.environment.sandbox.layers import Slot
from trace_gym.environment.sandbox.rootfs import Root

_NAMESPACES = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
_PATIENCE_S = 60.0


class Box:
    """A running name space, its channel, the slot its files appear in, its control group where there is one,
    and the number that the host has for its first process. Lifecycle: running from construction until `stop`.
    """

    def __init__(
        self, command: list[str], *, slot: Slot, group: ControlGroup | None, uid: int | None, seccomp: Path
    ) -> None:
        """`command`: bubblewrap's arguments, then the agent's program; `seccomp`: a file with the filter,
        empty for none. Raises SandboxFailed."""
        self.slot = slot
        self.group = group
        self._command = command
        self._uid = uid
        self._seccomp = seccomp
        self._start()

    def _start(self) -> None:
        with ExitStack() as open_files, boundary(SandboxFailed, OSError, what="cannot start bubblewrap"):
            self.channel, theirs = socket_pair()
            open_files.callback(theirs.close)
            entrances = []
            for path in self.group.entrances if self.group else []:
                entrances.append(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
                open_files.callback(os.close, entrances[-1])
            setup = agent_setup(self._uid, entrances)
            number = theirs.fileno()
            options = []
            if self._seccomp.stat().st_size:
                options = ["--seccomp", str(open_files.enter_context(self._seccomp.open("rb")).fileno())]
            told, tell = os.pipe()
            open_files.callback(os.close, told)
            program = shutil.which("bwrap") or "bwrap"
            options += ["--info-fd", str(tell)]
            try:
                self._process = subprocess.Popen(
                    [program, *options, *self._command, f"{number},{number}", setup],
                    pass_fds=[number, *entrances, *map(int, options[1::2])],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env={"LANG": "C.UTF-8"},
                    cwd="/",
                )
            finally:
                os.close(tell)
            self._greet()
            with os.fdopen(os.dup(told), "rb") as opened:
                self.process = int(json.load(opened)["child-pid"])

    def _greet(self) -> None:
        try:
            self.channel.greet(timeout_s=_PATIENCE_S)
        except SandboxFailed as error:
            self.channel.close()
            self._process.kill()
            _, said = self._process.communicate(timeout=_PATIENCE_S)
            raise SandboxFailed(
                f"bubblewrap did not start: {said.decode(errors='replace').strip()}"
            ) from error

    @property
    def alive(self) -> bool:
        """Does its name space still run?"""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the name space; slot and control group stay. May be called again."""
        self.channel.close()
        self._process.kill()
        with self._process:
            self._process.wait(_PATIENCE_S)

    def restart(self) -> None:
        """Start again after `stop`, on the same slot. Raises SandboxFailed."""
        self._start()


def bwrap_command(
    root: Root,
    slot: Slot,
    writable: tuple[str, ...],
    *,
    agent: Path,
    uid: int | None,
    scratch_mb: int = 0,
) -> list[str]:
    """Bubblewrap's arguments for a root and the folders that a slot shows; `agent` is the agent's folder on
    the host. A slot that shows none: the folders are in memory, `scratch_mb` MiB together, three quarters of
    it for the first. With `uid` None all run as one user, in a user name space."""
    found = [*_NAMESPACES, "--die-with-parent", "--new-session", "--as-pid-1"]
    found += ["--hostname", "sandbox", "--clearenv", "--setenv", "LANG", "C.UTF-8", *root.arguments]
    found += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", str(agent), AGENT_INSIDE]
    if slot.folders:
        for folder, name in sorted(zip(slot.folders, writable, strict=True), key=lambda pair: len(pair[1])):
            found += ["--bind", str(folder), name]
    else:
        rest = (scratch_mb << 18) // max(len(writable) - 1, 1)
        sizes = {name: rest for name in writable[1:]}
        sizes |= {writable[0]: (scratch_mb << 20) - sum(sizes.values())}
        for name in sorted(writable, key=len):
            found += ["--size", str(sizes[name]), "--tmpfs", name]
    found += ["--remount-ro", "/dev", "--remount-ro", "/", "--cap-drop", "ALL"]
    if uid is None:
        found += ["--unshare-user", "--uid", str(USER), "--gid", str(USER)]
    else:
        nice = ["CAP_SYS_NICE"] if holds("CapBnd", CAP_SYS_NICE) else []  # or commands start by a fork
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", *nice):
            found += ["--cap-add", capability]
    return [*found, "--chdir", "/", "--", root.python, "-I", "-S", AGENT_INSIDE]
