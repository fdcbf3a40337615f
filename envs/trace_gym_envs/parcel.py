"""Files on their way into a sandbox and out of it: many in one command, as a tar stream.

Going in, all files have one fixed time, so that what programs see does not depend on when. Coming out,
nothing is unpacked on this machine. Leaves out single files: a sandbox reads and writes those itself.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from trace_gym.core.errors import SandboxFailed
from trace_gym.core.sandbox import Sandbox

MOMENT: Final = 1_700_000_000
"""The time of every file that is sent, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A file to send: its content and mode; with `link`, a symbolic link to that place instead."""

    content: bytes = b""
    mode: int = 0o644
    link: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder holds: regular files by path relative to it, and the paths of everything else but
    folders (links, pipes, sockets). `whole` is False where there was more than could be taken."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    whole: bool = True


def send(box: Sandbox, folder: str, files: Mapping[str, Packed]) -> None:
    """Write files, by paths relative to a folder that is there and that no program has used yet. Raises
    SandboxFailed: nobody but the sandbox is to blame where they cannot be written."""
    ended = box.run(["tar", "-x", "-p", "-f", "-", "-C", folder], stdin=stream(files), cwd="/")
    if not ended.ok:
        said = ended.stderr.decode(errors="replace").strip()
        late = "out of time; " if ended.timed_out else ""
        raise SandboxFailed(
            f"{folder} does not take the files: {late}exit code {ended.exit_code}; {said[:300]}"
        )


def stream(files: Mapping[str, Packed]) -> bytes:
    """Files, by relative paths, as a tar stream; folders first."""
    out = io.BytesIO()
    folders: set[str] = set()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, packed in sorted(files.items()):
            parts = path.split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                parent = "/".join(parts[:depth])
                if parent not in folders:
                    folders.add(parent)
                    archive.addfile(_entry(parent, tarfile.DIRTYPE, mode=0o755))
            if packed.link:
                entry = _entry(path, tarfile.SYMTYPE, mode=0o777)
                entry.linkname = packed.link
                archive.addfile(entry)
            else:
                entry = _entry(path, tarfile.REGTYPE, mode=packed.mode)
                entry.size = len(packed.content)
                archive.addfile(entry, io.BytesIO(packed.content))
    return out.getvalue()


def fetch(box: Sandbox, folder: str) -> Found:
    """All that is in a folder. Raises SandboxFailed."""
    ended = box.run(["tar", "-c", "-f", "-", "-C", folder, "."], cwd="/")
    if ended.exit_code == 127:
        raise SandboxFailed("the sandbox has no tar")
    files: dict[str, bytes] = {}
    others: list[str] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(ended.stdout), mode="r:", errors="replace") as archive:
            for entry in archive:
                path = entry.name.removeprefix("./")
                if entry.isreg():
                    inside = archive.extractfile(entry)
                    files[path] = inside.read() if inside is not None else b""
                elif not entry.isdir():
                    others.append(path)
    except (tarfile.TarError, OSError, ValueError, EOFError):
        return Found(files, tuple(sorted(others)), whole=False)
    return Found(files, tuple(sorted(others)), whole=ended.ok and not ended.truncated)


def _entry(path: str, kind: bytes, *, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.mtime = kind, mode, MOMENT
    return entry
