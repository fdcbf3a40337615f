"""The few kernel calls that layers are made of: mount, bind, share, unmount, and loop devices.

Called directly, because a `mount` program costs ten times the call. Leaves out what is mounted where.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import struct
from functools import cache
from pathlib import Path

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
_MS_BIND = 0x1000
_MS_PRIVATE = 1 << 18
_MS_SHARED = 1 << 20
_MNT_DETACH = 2
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LO_FLAGS_AUTOCLEAR = 4
_LOOP_INFO64 = 232  # bytes in struct loop_info64
_LO_FLAGS_AT = 52  # where lo_flags lies in it: after five 64-bit and three 32-bit words


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, *, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError that names the target."""
    done = _libc().mount(
        source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount of {kind}: {os.strerror(code)}", str(target))


def bind(source: Path, target: Path) -> None:
    """Let `target` show what `source` shows."""
    mount(str(source), target, kind="none", flags=_MS_BIND)


def share(target: Path) -> None:
    """Make the mount at `target` one whose later mounts also appear in copies of it, and no other's group."""
    mount("none", target, kind="none", flags=_MS_PRIVATE)
    mount("none", target, kind="none", flags=_MS_SHARED)


def unmount(target: Path) -> None:
    """Take the topmost mount at `target` away; one that something still holds open goes when that lets go.

    Raises OSError: nothing is mounted there, no permission.
    """
    name = os.fsencode(target)
    if _libc().umount2(name, 0) == 0:
        return
    code = ctypes.get_errno()
    if code == errno.EBUSY and _libc().umount2(name, _MNT_DETACH) == 0:
        return
    raise OSError(code, f"unmount: {os.strerror(code)}", str(target))


def clear_mounts(folder: Path) -> None:
    """Unmount all that is mounted at and below a folder. Raises OSError."""
    for target in mounted_below(folder):
        try:
            unmount(target)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it went together with another one
                raise


def mounted_below(folder: Path) -> list[Path]:
    """The mount points at and below `folder`, the one mounted last first; once for every mount there."""
    found = []
    for line in (
        Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    ):
        octal = line.split(" ")[4]
        name = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), octal)
        path = Path(name)
        if path == folder or folder in path.parents:
            found.append(path)
    return found[::-1]


def mount_image(image: Path, target: Path, *, kind: str, flags: int, data: str) -> None:
    """Mount the file system inside a file; its loop device goes when it is unmounted. Raises OSError."""
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        device, name = _loop_device(backing)
        try:
            mount(name, target, kind=kind, flags=flags, data=data)
        finally:
            os.close(device)
    finally:
        os.close(backing)


def _loop_device(backing: int) -> tuple[int, str]:
    """A loop device over an open file, open itself: another process may take a free one first, so it tries
    again."""
    info = bytearray(_LOOP_INFO64)
    struct.pack_into("=I", info, _LO_FLAGS_AT, _LO_FLAGS_AUTOCLEAR)
    config = struct.pack("=II", backing, 0) + bytes(info) + bytes(8 * 8)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for attempt in range(64):
            name = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            device = os.open(name, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, config)
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY or attempt == 63:
                    raise
            else:
                return device, name
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no free loop device")
