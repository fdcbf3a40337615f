"""Sandboxes: where programs of an agent run. What a sandbox promises, what it costs to fork one.

In a sandbox the file system *is* the state: every command runs in a process group of its own that is dead
when the call returns, so a snapshot of the files is a snapshot of the sandbox. Leaves out how it is done:
that is for `environment/sandbox/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

WORKSPACE = "/workspace"


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What the programs of one sandbox may use. `memory_mb` and `pids` bound all processes of a command
    together, `disk_mb` what the sandbox has written since it was opened, `output_bytes` each of a command's
    two output streams (the rest is dropped and said to be), `timeout_s` a command's wall time."""

    memory_mb: int = 512
    cpus: float = 1.0
    pids: int = 64
    disk_mb: int = 256
    output_bytes: int = 1 << 20
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        for name in ("memory_mb", "cpus", "pids", "disk_mb", "output_bytes", "timeout_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a sandbox is opened with.

    `image` names the read-only root: empty for the provider's Python image, else a folder that holds a
    `Dockerfile`, or a root file system as a tar file. `writable` are absolute folders that commands may
    change; they start as the image has them (empty where it has none) but belong to the sandboxed user, and
    they are what is forked, together with /dev/shm.
    `allow` lists the hosts that may be reached as `name:port`; empty: no network at all. `env` is every
    command's environment.
    """

    image: str = ""
    writable: tuple[str, ...] = (WORKSPACE, "/tmp")
    allow: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    limits: SandboxLimits = SandboxLimits()

    def __post_init__(self) -> None:
        for folder in self.writable:
            if not folder.startswith("/") or folder == "/" or ".." in folder.split("/"):
                raise ValueError(f"writable folders must be absolute, below / and without .., got {folder!r}")


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What came of a command. `exit_code` is what a shell would report: 128 + the signal that ended it.
    `timed_out`: its wall time was up and it was killed. `out_of_memory`: the memory limit killed something
    in it. `truncated`: output was dropped. `seconds` is wall time."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    out_of_memory: bool = False
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """Did it end by itself, with exit code 0?"""
        return self.exit_code == 0 and not self.timed_out


class FileSnapshot(Protocol):
    """The writable folders of a sandbox at one moment. May be restored any number of times, in any sandbox of
    the same provider and spec, from any thread; holds disk space until it is closed."""

    def close(self) -> None:
        """Give the space back once no sandbox stands on it. May be called again."""
        ...


class Sandbox(Protocol):
    """One sandbox. Lifecycle: opened by a provider, used by one thread at a time, closed by its owner.

    Every method raises SandboxFailed when the sandbox itself broke (never for what a program did), and
    ValueError for arguments that cannot be right. Paths are absolute inside the sandbox. `read`, `write` and
    `files` act as the sandboxed user would, so no link leads them outside.
    """

    @property
    def spec(self) -> SandboxSpec:
        """What it was opened with."""
        ...

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run a program with its arguments (no shell unless named) as the unprivileged user, and wait for it.

        `cwd` defaults to the first writable folder; `env` adds to the spec's; `timeout_s` may only lower the
        limit. When it returns, every process that it started is dead.
        """
        ...

    def write(self, path: str, content: bytes | BinaryIO, *, mode: int = 0o644) -> None:
        """Write a file inside a writable folder, making its folders; an existing file is replaced.

        Raises PathRefused where the path leads outside the writable folders, is a folder, or the disk limit
        is reached.
        """
        ...

    def read(self, path: str, *, max_bytes: int = 1 << 20) -> bytes:
        """The content of a regular file. Raises PathRefused: missing, no regular file, larger, unreadable."""
        ...

    def files(self, folder: str, *, most: int = 10_000) -> dict[str, int]:
        """The regular files under a folder, as paths relative to it, with their sizes; links are not
        followed. Raises PathRefused: no such folder, or more than `most` files."""
        ...

    def snapshot(self) -> FileSnapshot:
        """The writable folders as they are now. Costs no copy where the provider has overlays."""
        ...

    def settle(self) -> None:
        """Say that a turn is over. Where folders are layers, programs see them (in the order of names, in
        counts of links), and a snapshot begins a new one; settled after every turn, programs see the same
        whether or not any was taken. Costs about a millisecond where something was written."""
        ...

    def restore(self, snapshot: FileSnapshot) -> None:
        """Make the writable folders what they were in `snapshot`; what has happened here since is gone."""
        ...

    def reset(self) -> None:
        """Make the writable folders what they were when the sandbox was opened."""
        ...

    def close(self) -> None:
        """Free everything. May be called again."""
        ...


class SandboxProvider(Protocol):
    """Makes sandboxes of one kind. Safe to use from many threads.

    Lifecycle: what it keeps on disk and in the daemon appears with its first sandbox and is gone when its
    last sandbox and snapshot are closed; what a killed process leaves is found by its lease and removed by
    the next provider, or by `trace-gym clean`.
    """

    @property
    def name(self) -> str:
        """`docker` or `bwrap`."""
        ...

    def open(self, spec: SandboxSpec) -> Sandbox:
        """A fresh sandbox; from the warm pool where there is one. Raises SandboxFailed, BadConfig (an image
        that cannot be made)."""
        ...
