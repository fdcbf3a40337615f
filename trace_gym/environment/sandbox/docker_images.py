"""Images for Docker sandboxes: the Python one that we make, and those of tasks, from a Dockerfile or a tar.

An image is named for the hash of what it is made from, so nothing is made twice and a changed folder is a new
image. Leaves out when images are removed (`reaper.py`).
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from hashlib import sha256
from logging import getLogger
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from trace_gym.core.errors import BadConfig, SandboxFailed, boundary
from trace_gym.environment.sandbox.channel import USER
from trace_gym.environment.sandbox.containers import Daemon, Image

BASE = "trace-gym-base"
"""The Python image, without its version; a task's Dockerfile may say `FROM trace-gym-base`."""
TASK = "trace-gym-task"
NAME = "agent"
PACKAGES = (
    "python3 bash dash coreutils grep sed mawk findutils diffutils patch tar gzip bzip2 xz-utils procps "
    "hostname util-linux make jq sqlite3 libc-bin"
)
UNREAD = ("doc", "info", "locale", "man")
RELEASE = "bookworm"
DOCKERFILE = f"""FROM python:3.12-slim
RUN useradd --uid {USER} --home-dir /workspace --shell /bin/bash {NAME} && mkdir -p /workspace
"""
MADE_S = 900.0


class Images:
    """Finds or makes images in one daemon. Safe to use from many threads; an image is made by one of them."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._lock = Lock()
        self._hashes: dict[tuple[str, int, int], str] = {}

    def find(self, source: str) -> Image:
        """The image that `SandboxSpec.image` means. Raises BadConfig, SandboxFailed."""
        with self._lock:
            if not source:
                return self._base()
            path = Path(source)
            if path.is_dir() and (path / "Dockerfile").is_file():
                return self._built(path)
            if path.is_file():
                return self._loaded(path)
        raise BadConfig(f"image must be a folder with a Dockerfile or a tar file, and {source!r} is neither")

    def _base(self) -> Image:
        """The Python image: from Debian packages where mmdebstrap is here, else from a public image."""
        packaged = shutil.which("mmdebstrap") is not None
        recipe = f"{RELEASE} {PACKAGES} {UNREAD} {USER}" if packaged else DOCKERFILE
        tag = f"{BASE}:{_short(recipe.encode())}"
        found = self._daemon.image(tag)
        if found is None:
            getLogger(__name__).warning("making the Python image of the sandboxes, once for this daemon")
            with TemporaryDirectory(prefix="trace-gym-base-") as scratch:
                folder = Path(scratch)
                if packaged:
                    found = self._daemon.load(_root_tar(folder), tag, purpose="base")
                else:
                    (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
                    found = self._daemon.build(folder, tag, purpose="base")
        self._daemon.name(found.id, f"{BASE}:latest")
        return found

    def _built(self, folder: Path) -> Image:
        digest = sha256()
        if BASE in (folder / "Dockerfile").read_text(encoding="utf-8", errors="replace"):
            digest.update(self._base().id.encode())
        for file in sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()):
            what = os.readlink(file).encode() if file.is_symlink() else file.read_bytes()
            name = f"{file.relative_to(folder)}\0{file.lstat().st_mode:o}\0{len(what)}\0"
            digest.update(name.encode("utf-8", "surrogateescape") + what)
        tag = f"{TASK}:{digest.hexdigest()[:16]}"
        return self._daemon.image(tag) or self._daemon.build(folder, tag, purpose="task")

    def _loaded(self, tar: Path) -> Image:
        stat = tar.stat()
        key = (str(tar.resolve()), stat.st_size, stat.st_mtime_ns)
        if key not in self._hashes:
            with tar.open("rb") as file:
                digest = sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
            self._hashes[key] = digest.hexdigest()[:16]
        tag = f"{TASK}:{self._hashes[key]}"
        return self._daemon.image(tag) or self._daemon.load(tar, tag, purpose="task")


def _short(recipe: bytes) -> str:
    return sha256(recipe).hexdigest()[:12]


def _root_tar(folder: Path) -> Path:
    """A root file system of Debian packages, unpacked but not configured, with what configuring would add."""
    tar = folder / "root.tar"
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNREAD]
    include = f"--include={','.join(PACKAGES.split())}"
    command = ["mmdebstrap", "--quiet", "--variant=extract", include, *left_out, RELEASE, str(tar)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=MADE_S)
    except subprocess.TimeoutExpired as late:
        raise SandboxFailed(f"mmdebstrap did not make the Python image within {MADE_S:g} s") from late
    if done.returncode:
        raise SandboxFailed(f"mmdebstrap cannot make the Python image: {done.stderr.strip()[-400:]}")
    with boundary(SandboxFailed, OSError, tarfile.TarError, what="cannot complete the Python image"):
        _complete(tar)
    return tar


def _complete(tar: Path) -> None:
    users = f"root:x:0:0:root:/root:/bin/bash\n{NAME}:x:{USER}:{USER}::/workspace:/bin/bash\n"
    users += "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    files = {
        "etc/passwd": users,
        "etc/group": f"root:x:0:\n{NAME}:x:{USER}:\nnogroup:x:65534:\n",
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    with tarfile.open(tar, "a") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text.encode("ascii")))
        for name, target in {"usr/bin/python": "python3", "usr/bin/awk": "mawk"}.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        folder = tarfile.TarInfo("./workspace")
        folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o755, USER, USER
        archive.addfile(folder)
