"""Control groups: limits on memory, processes and CPU time that hold for all processes of a command together.

Version 1 and version 2 of the kernel's interface, whichever this machine lets us write to. Leaves out what
stands in where it has neither (`channel_agent.py` then watches what its processes use).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from trace_gym.core.sandbox import SandboxLimits

_FILESYSTEM = Path("/sys/fs/cgroup")
_TOP = "trace-gym"
_WANTED = ("memory", "pids", "cpu")
_PERIOD_US = 100_000
_AGENT_MB = 16  # what the agent itself may use, which shares the group with its commands


class ControlGroup:
    """The control group of one sandbox: its `entrances` are files that a process writes "0" to, to join.

    Lifecycle: made by `make_group`, gone after `close`.
    """

    def __init__(self, folders: dict[str, Path]) -> None:
        """`folders` holds the group's folder for each controller; version 2 has one folder for all."""
        self._folders = folders
        self._unified = folders["memory"] == folders["pids"]

    @property
    def entrances(self) -> list[Path]:
        """The files to join by."""
        return [folder / "cgroup.procs" for folder in dict.fromkeys(self._folders.values())]

    def limit(self, limits: SandboxLimits) -> None:
        """Set what its processes may use together. Raises OSError."""
        memory, quota = (limits.memory_mb + _AGENT_MB) << 20, int(limits.cpus * _PERIOD_US)
        if self._unified:
            self._set("memory", "memory.max", memory)
            self._set("cpu", "cpu.max", f"{quota} {_PERIOD_US}")
            if (self._folders["memory"] / "memory.swap.max").exists():
                self._set("memory", "memory.swap.max", 0)
        else:
            self._set_memory_v1(memory)
            self._set("cpu", "cpu.cfs_period_us", _PERIOD_US)
            self._set("cpu", "cpu.cfs_quota_us", quota)
        self._set("pids", "pids.max", limits.pids + 1)

    def killed_for_memory(self) -> int:
        """How many of its processes the memory limit has killed since it was made."""
        name = "memory.events" if self._unified else "memory.oom_control"
        for line in (self._folders["memory"] / name).read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def close(self) -> None:
        """Kill what is still in it and remove it. May be called again."""
        for folder in dict.fromkeys(self._folders.values()):
            _remove_group(folder)

    def _set_memory_v1(self, memory: int) -> None:
        swap = self._folders["memory"] / "memory.memsw.limit_in_bytes"
        names = ["memory.limit_in_bytes"] + (["memory.memsw.limit_in_bytes"] if swap.exists() else [])
        try:
            for name in names:
                self._set("memory", name, memory)
        except OSError:  # the two limits may only be raised in the other order
            for name in reversed(names):
                self._set("memory", name, memory)

    def _set(self, controller: str, name: str, value: int | str) -> None:
        (self._folders[controller] / name).write_text(str(value), encoding="ascii")


def make_group(state: str, name: str) -> ControlGroup | None:
    """A new control group `name` under that of a state folder; None where this machine does not let us."""
    try:
        roots = _roots()
        if roots is None:
            return None
        folders = {}
        for controller, root in roots.items():
            for above in (root / _TOP, root / _TOP / state):
                above.mkdir(exist_ok=True)
                if len(set(roots.values())) == 1:
                    _delegate(above)
            folders[controller] = root / _TOP / state / name
            folders[controller].mkdir(exist_ok=True)
        group = ControlGroup(folders)
        group.limit(SandboxLimits())
    except OSError:
        return None
    return group


def group_folders(prefix: str) -> list[Path]:
    """The control groups that belong to state folders whose names begin so."""
    tops = [root / _TOP for root in dict.fromkeys((_roots() or {}).values())]
    return [folder for top in tops if top.is_dir() for folder in sorted(top.glob(f"{prefix}*"))]


def remove_groups(state: str) -> None:
    """Kill what runs in the control groups of a state folder and remove them. Raises OSError."""
    for root in dict.fromkeys((_roots() or {}).values()):
        folder = root / _TOP / state
        if folder.is_dir():
            for inside in [entry for entry in folder.iterdir() if entry.is_dir()]:
                _remove_group(inside)
            folder.rmdir()


def _roots() -> dict[str, Path] | None:
    """The folder below which groups are made, for each controller; None: some controller is nowhere."""
    unified = _FILESYSTEM / "cgroup.controllers"
    if unified.exists():
        offered = unified.read_text(encoding="ascii").split()
        return {name: _FILESYSTEM for name in _WANTED} if set(_WANTED) <= set(offered) else None
    folders = {name: _FILESYSTEM / name for name in _WANTED}
    return folders if all((folder / "cgroup.procs").exists() for folder in folders.values()) else None


def _delegate(folder: Path) -> None:
    """Version 2: let the groups below a folder use the controllers."""
    (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in _WANTED), encoding="ascii")


def _remove_group(folder: Path, *, patience_s: float = 5.0) -> None:
    """Remove one group; the kernel takes a moment to see that its processes are gone."""
    end = time.monotonic() + patience_s
    while folder.is_dir():
        for process in _processes(folder):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)


def _processes(folder: Path) -> Iterator[int]:
    try:
        yield from map(int, (folder / "cgroup.procs").read_text(encoding="ascii").split())
    except (FileNotFoundError, OSError):
        return
