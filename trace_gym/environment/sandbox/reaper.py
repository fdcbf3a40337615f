"""The reaper: removes what dead processes left, on this machine's disk and in the Docker daemon.

Containers end with their owner anyway, for their input ends; what remains are containers that never started,
folders, mounts. Whether an owner lives is told by the lock on its lease, so only processes that see the same
files judge it. Images are shared by all processes and are removed on request only.
"""

from __future__ import annotations

import fcntl
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from trace_gym.environment.sandbox import lease
from trace_gym.environment.sandbox.containers import Daemon, Found

LEASE = "lease"


@dataclass(frozen=True, slots=True)
class Removed:
    """Something that was, or would be, removed, and why."""

    kind: str
    name: str
    reason: str


def lease_label(folder: Path) -> str:
    """What tells others whether the owner of a state folder lives: where its lease is, and for whom that is
    the same file."""
    return f"{_here()}:{folder / LEASE}"


def reap(
    daemon: Daemon | None, *, images: frozenset[str] = frozenset(), dry_run: bool = False
) -> list[Removed]:
    """Remove what belongs to dead processes, and images for one of the purposes `images` (`task`, `base`)
    that no container uses. What it removed, or would. Raises SandboxFailed."""
    gone: list[Removed] = []
    dead = lease.dead() if dry_run else None
    if daemon is not None:
        gone += _reap_daemon(daemon, images=images, dry_run=dry_run)
    names = dead if dead is not None else lease.reap()
    return [*gone, *(Removed("folder", name, "its owner is dead") for name in names)]


def _reap_daemon(daemon: Daemon, *, images: frozenset[str], dry_run: bool) -> list[Removed]:
    gone = []
    order = {"container": 0, "network": 1, "volume": 2, "image": 3}
    for thing in sorted(daemon.found(), key=lambda found: order[found.kind]):
        reason = _reason(thing, images=images)
        if reason is None:
            continue
        if dry_run or daemon.remove(thing.kind, thing.id):
            gone.append(Removed(thing.kind, thing.id, reason))
    return gone


def _reason(thing: Found, *, images: frozenset[str]) -> str | None:
    """Why a thing can go; None: it stays."""
    if not thing.lease:
        return "no container uses it" if thing.purpose in images and not thing.used else None
    where, _, path = thing.lease.partition(":")
    if where != _here():
        return None
    return None if _held(Path(path)) else "its owner is dead"


def _held(path: Path) -> bool:
    """Is the lease held by a process that lives?"""
    try:
        opened = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(opened)
    return False


def _here() -> str:
    """This boot of this machine, and this view of its files."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    view = Path("/proc/self/ns/mnt")
    name = boot.read_text(encoding="ascii").strip() if boot.exists() else platform.node()
    return f"{name}/{view.stat().st_ino if view.exists() else 0}"
