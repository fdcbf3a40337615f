"""What the Docker sandbox asks of a daemon: images, containers with an attached wire, copies of folders.

A seam, so that one file knows the client library. Leaves out what runs in a container (`channel.py`) and when
containers are started (`docker_pool.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from trace_gym.core.sandbox import SandboxLimits
from trace_gym.environment.sandbox.channel import USER, Wire

Kind: TypeAlias = Literal["container", "image", "volume", "network"]

Fate: TypeAlias = Literal["silent", "memory", "ended", "paused", "stopped"]
"""A container is silent, ended by its memory limit or by itself, or was paused or stopped from outside."""

LABEL = "trace-gym"
"""Everything that this library makes in a daemon carries this label; its value says what it is for."""
LEASE_LABEL = "trace-gym.lease"
"""The lease of the process that made it, which tells whether that process still lives."""
NO_IPC = {"kernel.shmmni": "0", "kernel.msgmni": "0", "kernel.sem": "32 1 1 0", "fs.mqueue.queues_max": "0"}
"""No kernel objects that would outlive the processes of a command and escape its snapshot."""

_IN_PROC = "acpi asound interrupts kcore keys latency_stats sched_debug scsi timer_list timer_stats"
_IN_SYS = "block bus class dev devices/virtual firmware kernel module power"
MASKED = [f"/proc/{name}" for name in _IN_PROC.split()] + [f"/sys/{name}" for name in _IN_SYS.split()]
"""What a program need not see of the machine: the daemon's own list, and most of its devices."""


@dataclass(frozen=True, slots=True)
class Image:
    """A root file system in the daemon: its content hash, the environment it asks for, and the folders that
    it declares as volumes."""

    id: str
    env: Mapping[str, str]
    volumes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What a container is started with: always read-only, without capabilities, without new privileges.

    `binds` maps folders inside to folders of this machine: what is mounted there later shows up inside.
    `scratch` maps folders inside to volumes in memory, of so many KiB; `shared` maps folders inside to named
    volumes, read-only. `network` is the daemon's name of one, `hosts` adds names with their addresses.
    """

    image: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    limits: SandboxLimits
    labels: Mapping[str, str]
    binds: Mapping[str, Path] = field(default_factory=dict)
    scratch: Mapping[str, int] = field(default_factory=dict)
    shared: Mapping[str, str] = field(default_factory=dict)
    network: str = "none"
    hosts: Mapping[str, str] = field(default_factory=dict)

    def mounts(self) -> Iterator[dict[str, Any]]:
        """Its mounts, as the daemon's API writes them."""
        for inside, folder in self.binds.items():
            later = {"BindOptions": {"Propagation": "rslave"}}
            yield {"Type": "bind", "Source": str(folder), "Target": inside, **later}
        for inside, size in self.scratch.items():
            options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={size}k,uid={USER},gid={USER}"}
            driver = {"DriverConfig": {"Name": "local", "Options": options}, "Labels": dict(self.labels)}
            yield {"Type": "volume", "Target": inside, "VolumeOptions": {"NoCopy": True, **driver}}
        for inside, name in self.shared.items():
            unfilled = {"VolumeOptions": {"NoCopy": True}}
            yield {"Type": "volume", "Source": name, "Target": inside, "ReadOnly": True, **unfilled}


@dataclass(frozen=True, slots=True)
class Found:
    """Something of ours in the daemon. `lease` is empty for what belongs to no process, such as images;
    `purpose` is the value of its label; `used`: a container stands on it."""

    kind: Kind
    id: str
    purpose: str
    lease: str
    used: bool = False


class Ear(Wire, Protocol):
    """The wire to a container's first process, which hears the end of its input when it is closed. `said` is
    the end of what it wrote to standard error."""

    said: bytes


class Daemon(Protocol):
    """A Docker daemon. Safe to use from many threads. Every method raises SandboxFailed where the daemon does
    not answer or refuses."""

    @property
    def local(self) -> bool:
        """Is it reached through a socket of this machine, so that it may see the same files?"""
        ...

    def image(self, name: str) -> Image | None:
        """The image of that name or hash, if it is there."""
        ...

    def build(self, folder: Path, tag: str, *, purpose: str) -> Image:
        """Build the Dockerfile of a folder. Raises BadConfig with the end of what the build said."""
        ...

    def load(self, tar: Path, tag: str, *, purpose: str) -> Image:
        """Make an image of a root file system. Raises BadConfig where the file is none."""
        ...

    def name(self, image: str, tag: str) -> None:
        """Give an image a further name, which another may have had."""
        ...

    def start(self, spec: ContainerSpec) -> tuple[str, Ear]:
        """Start a container that vanishes when its first process ends; its hash and its wire."""
        ...

    def fate(self, container: str) -> Fate:
        """What has become of a container that has ended or does not answer."""
        ...

    def pack(self, container: str, folder: str) -> Iterator[bytes]:
        """A folder of a container, started or not, as a tar file; empty where there is no such folder."""
        ...

    def unpack(self, container: str, folder: str, tar: Iterable[bytes]) -> None:
        """Extract a tar file, owners included, into a folder of a container."""
        ...

    def shelve(
        self, image: str, *, labels: Mapping[str, str], volumes: Mapping[str, str] | None = None
    ) -> str:
        """Make a container of an image that is not started, to `pack` from and `unpack` to; its hash.
        `volumes` maps folders inside to named volumes."""
        ...

    def volume(self, name: str, *, purpose: str) -> None:
        """Make a volume of that name unless it is there."""
        ...

    def close(self) -> None:
        """Give idle connections back; it may be used again."""
        ...

    def found(self) -> list[Found]:
        """Everything of ours, whichever process made it."""
        ...

    def remove(self, kind: Kind, id: str) -> bool:
        """Remove one thing, running or not; False where it is in use or gone."""
        ...
