"""Folders as tar files: unpacking what an image holds for the sandboxed user, and giving it to that user.

Leaves out root file systems of bubblewrap (`rootfs.py`).
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from trace_gym.environment.sandbox.channel import USER


class _Chunks(io.RawIOBase):
    """Pieces of bytes as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if not self._left:
            self._left = next(self._chunks, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _entries(chunks: Iterable[bytes]) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The entries of a tar file that may be empty: files, folders and links, of names that do not climb."""
    source = io.BufferedReader(_Chunks(chunks), 1 << 16)
    if not source.peek(1):
        return
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for entry in archive:
            path = PurePosixPath(entry.name)
            if path.is_absolute() or ".." in path.parts or entry.isdev():
                continue
            yield archive, entry


def fill(target: Path, chunks: Iterable[bytes], *, open_to_all: bool) -> None:
    """Unpack a tar file into a new folder whose content belongs to the sandboxed user.

    Links stay as they are and nothing is written through them. Raises OSError, tarfile.TarError.
    """
    target.mkdir(mode=0o755)
    for archive, entry in _entries(chunks):
        path = target / entry.name
        if os.path.realpath(path.parent) != os.path.normpath(path.parent):
            continue
        if entry.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif entry.issym():
            path.symlink_to(entry.linkname)
        elif entry.islnk():
            os.link(target / entry.linkname, path, follow_symlinks=False)
        else:
            source = archive.extractfile(entry)
            with path.open("xb") as file:
                if source is not None:
                    shutil.copyfileobj(source, file, 1 << 20)
        os.chown(path, USER, USER, follow_symlinks=False)
        if not entry.issym():
            os.chmod(path, entry.mode & 0o777 | (0o700 if entry.isdir() else 0))
            os.utime(path, (entry.mtime, entry.mtime))
    os.chown(target, USER, USER)
    target.chmod(0o1777 if open_to_all else 0o755)


def owned(chunks: Iterable[bytes], target: Path) -> None:
    """Copy a tar file to `target`, all its entries belonging to the sandboxed user. Raises OSError,
    tarfile.TarError."""
    with tarfile.open(target, "w") as copy:
        for archive, entry in _entries(chunks):
            entry.uid = entry.gid = USER
            entry.uname = entry.gname = ""
            copy.addfile(entry, archive.extractfile(entry) if entry.isreg() else None)
