"""Volumes: file systems of a fixed size for what one sandbox writes, so that a full disk is its own.

An ext4 image in a sparse file, mounted through a loop device: its pages can leave memory and its space goes
back when files go. Where loop devices or mke2fs are missing, a tmpfs, which holds them in memory. Leaves out
what is written there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from stat import S_ISREG
from threading import Lock
from typing import Literal
from uuid import uuid4

from trace_gym.environment.sandbox.lease import remove_tree
from trace_gym.environment.sandbox.mounts import (
    MS_NOATIME,
    MS_NODEV,
    MS_NOSUID,
    MS_REMOUNT,
    mount,
    mount_image,
    unmount,
)

_FLAGS = MS_NOSUID | MS_NODEV | MS_NOATIME
_MIB = 1 << 20
_FILLER = "filler"
_UUID_AT = 1024 + 0x68  # where the identifier lies in an ext4
_HASH_SEED = "7c9e6679-7425-40de-944b-e07fc1f90ae7"  # orders a folder's names: the same in every process
_LEAST_INODES = 64
_LEAST = 64 << 10  # bytes that always stay free, for folders and white-outs of the overlay itself
Kind = Literal["ext4", "tmpfs"]


class Volume:
    """One mounted file system. `layers` counts the frozen layers that live on it, `taken` tells
    whether a sandbox writes to it. Invariant: at most one layer at a time grows on it."""

    def __init__(self, path: Path, *, disk_mb: int, kind: Kind, image: Path | None) -> None:
        """`path` is where it is mounted; `image` the file behind an ext4."""
        self.path = path
        self.disk_mb = disk_mb
        self.kind: Kind = kind
        self.layers = 0
        self.taken = False
        self._image = image
        self._numbers = count()

    def folder(self) -> Path:
        """A new, empty folder on it."""
        made = self.path / str(next(self._numbers))
        made.mkdir(mode=0o755)
        return made

    def used(self) -> int:
        """Bytes in use, what keeps the limit included."""
        disk = os.statvfs(self.path)
        return (disk.f_blocks - disk.f_bfree) * disk.f_frsize

    def entries(self) -> int:
        """Inodes in use."""
        disk = os.statvfs(self.path)
        return disk.f_files - disk.f_ffree

    @property
    def out_of_names(self) -> bool:
        """Are there too few inodes left for another layer? Empty files use them up before the space."""
        return os.statvfs(self.path).f_favail < _LEAST_INODES

    def allow(self, wanted: int) -> None:
        """Let `wanted` more bytes be written from now on, as far as the volume is that large."""
        wanted = max(wanted, _LEAST)
        if self.kind == "tmpfs":
            data = f"size={self.used() + wanted},nr_inodes={self.disk_mb * 256}"
            mount("none", self.path, kind="tmpfs", flags=_FLAGS | MS_REMOUNT, data=data)
            return
        filler = self.path / _FILLER
        if filler.exists():
            if self._free() == wanted:
                return
            filler.unlink()
        extra = self._free() - wanted
        if extra > 0:
            with filler.open("wb") as opened:
                os.posix_fallocate(opened.fileno(), 0, extra)

    def _free(self) -> int:
        """Bytes that can be written now."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    def wipe(self) -> None:
        """Remove everything on it."""
        for entry in self.path.iterdir():
            if entry.name != "lost+found":
                empty(entry)
                remove_tree(entry)

    def close(self) -> None:
        """Unmount it and give its space back."""
        unmount(self.path)
        self.path.rmdir()
        if self._image is not None:
            self._image.unlink()


def empty(folder: Path) -> None:
    """Give the space of all files below a folder back now: where one is still open somewhere, or a mount that
    shows it lingers, it would keep its space beyond its removal, and what may be written would be counted
    wrong."""
    with suppress(OSError, RecursionError):  # what is nested too deep goes when it goes
        for _, _, names, opened in os.fwalk(folder):
            for name in names:
                about = os.stat(name, dir_fd=opened, follow_symlinks=False)
                if S_ISREG(about.st_mode) and about.st_size:
                    file = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened)
                    try:
                        os.ftruncate(file, 0)
                    finally:
                        os.close(file)


class Volumes:
    """Makes volumes in a folder. Safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where images and mount points lie; it exists."""
        self._folder = folder
        self._numbers = count()
        self._lock = Lock()
        self.kind: Kind = "ext4" if _loops() and shutil.which("mke2fs", path=_path()) else "tmpfs"

    def make(self, disk_mb: int) -> Volume:
        """A mounted, empty volume on which `disk_mb` MiB or somewhat more can be written; `allow` makes it
        exact. Raises OSError."""
        with self._lock:
            name = str(next(self._numbers))
        path = self._folder / name
        path.mkdir(mode=0o755)
        image = self._folder / f"{name}.ext4" if self.kind == "ext4" else None
        if image is None:
            mount("none", path, kind="tmpfs", flags=_FLAGS, data=f"size={disk_mb}m,mode=0755")
        else:
            self._copy_blank(disk_mb, image)
            options = "discard,nobarrier"
            mount_image(image, path, kind="ext4", flags=_FLAGS, data=options)
        return Volume(path, disk_mb=disk_mb, kind=self.kind, image=image)

    def _copy_blank(self, disk_mb: int, image: Path) -> None:
        """Put an empty file system into `image`, copied from one that was made once per size; an identifier
        of its own, by which an overlay tells its layers apart."""
        blank = self._folder / f"blank-{disk_mb}.ext4"
        with self._lock:
            if not blank.exists():
                _format(blank, disk_mb)
        with blank.open("rb") as source, image.open("xb") as target:
            for begin, end in _extents(source.fileno()):
                os.pwrite(target.fileno(), os.pread(source.fileno(), end - begin, begin), begin)
            os.pwrite(target.fileno(), uuid4().bytes, _UUID_AT)
            target.truncate(os.fstat(source.fileno()).st_size)


def _format(blank: Path, disk_mb: int) -> None:
    """A file with an empty ext4 in it: no journal, for nothing in it outlives its process; no checksums,
    which would hold its identifier; one inode for each 4 KiB, so that blocks run out first."""
    unfinished = blank.with_suffix(".new")
    with unfinished.open("wb") as opened:
        opened.truncate(int(disk_mb * 1.1 + 8) * _MIB)
    features = "^has_journal,^resize_inode,^metadata_csum,^uninit_bg"
    extended = f"lazy_itable_init=0,hash_seed={_HASH_SEED}"
    options = ["-b", "4096", "-O", features, "-E", extended, "-i", "4096", "-m", "0"]
    try:
        subprocess.run(
            ["mke2fs", "-q", "-F", "-t", "ext4", *options, str(unfinished)],
            check=True,
            capture_output=True,
            timeout=60,
            env={"PATH": _path()},
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"mke2fs failed: {error}") from error
    unfinished.rename(blank)


def _extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """Where a sparse file has data: begin and end of each stretch."""
    at, size = 0, os.fstat(descriptor).st_size
    while at < size:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:  # nothing but holes from here on
            return
        at = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield begin, at


def _loops() -> bool:
    """Can this process set up loop devices?"""
    return os.access("/dev/loop-control", os.R_OK | os.W_OK)


def _path() -> str:
    """Where system programs lie, which an ordinary user's PATH leaves out."""
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
