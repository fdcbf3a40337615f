"""The read-only root of a bubblewrap sandbox: this machine's programs, or a root file system from a tar file.

The default shows `/usr` without what was installed by hand or by pip, and an `/etc` of its own: no home
folder, no repository, no grader is in there. Leaves out Dockerfiles, which need Docker to be built.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from trace_gym.core.errors import BadConfig, boundary
from trace_gym.core.package import cache_folder
from trace_gym.environment.sandbox.channel import AGENT_INSIDE, USER
from trace_gym.environment.sandbox.lease import remove_tree

_SHOWN = ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "share")
_FROM_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types")
_PACKAGES = ("dist-packages", "site-packages")
_PYTHON = "/usr/bin/python3"
_ETC = {
    "passwd": f"root:x:0:0:root:/:/usr/sbin/nologin\nagent:x:{USER}:{USER}:agent:/workspace:/bin/sh\n",
    "group": f"root:x:0:\nagent:x:{USER}:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "hostname": "sandbox\n",
}


@dataclass(frozen=True, slots=True)
class Root:
    """A read-only root: bubblewrap's `arguments` for it, the Python that runs the agent, and the folder that
    the writable folders' first content is copied from (None: they start empty)."""

    arguments: tuple[str, ...]
    python: str
    content: Path | None = None


def host_python() -> str | None:
    """A Python that the default root can show; None: this machine has none outside a home folder."""
    if Path(_PYTHON).exists():
        return _PYTHON
    found = Path(sys.base_prefix) / "bin" / "python3"
    return str(found) if found.exists() else None


def host_root(folder: Path) -> Root:
    """The default root; `folder` is made and holds its own files. Raises OSError, BadConfig."""
    python = host_python()
    if python is None:
        raise BadConfig("the default root of bubblewrap sandboxes needs /usr/bin/python3")
    folder.mkdir(mode=0o755)
    empty = folder / "empty"
    empty.mkdir(mode=0o755)
    found: list[str] = []
    for made in ("/usr", "/etc", "/var", "/var/tmp", "/run", "/home"):
        found += ["--perms", "0755", "--dir", made]
    found += programs()
    found += _hide_packages(Path("/usr/lib"), empty)
    if not python.startswith("/usr/bin/"):
        prefix = Path(sys.base_prefix)
        found += ["--ro-bind", str(prefix), str(prefix), *_hide_packages(prefix / "lib", empty)]
        if python != "/usr/local/bin/python3":
            found += ["--symlink", python, "/usr/local/bin/python3"]
    for name, content in _ETC.items():
        own = folder / name
        own.write_text(content, encoding="ascii")
        own.chmod(0o644)
        found += ["--ro-bind", str(own), f"/etc/{name}"]
    for name in _FROM_ETC:
        found += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return Root(tuple(found), python)


def programs() -> list[str]:
    """Bubblewrap's arguments to show this machine's programs and libraries, and nothing else."""
    found: list[str] = []
    for name in _SHOWN:
        shown = Path("/usr") / name
        if shown.is_dir() and not shown.is_symlink():
            found += ["--ro-bind", str(shown), str(shown)]
        found += _top_level(Path("/") / name)
    return found


def _top_level(path: Path) -> list[str]:
    """How a folder such as /lib appears: as the link it is, or itself."""
    if path.is_symlink():
        return ["--symlink", os.readlink(path), str(path)]
    return ["--ro-bind", str(path), str(path)] if path.is_dir() else []


def _hide_packages(libraries: Path, empty: Path) -> list[str]:
    """Cover the folders of installed Python packages."""
    found: list[str] = []
    for version in sorted(libraries.glob("python3*")):
        for name in _PACKAGES:
            if (version / name).is_dir():
                found += ["--ro-bind", str(empty), str(version / name)]
    return found


def image_root(image: str, writable: tuple[str, ...], *, cache: Path | None = None) -> Root:
    """The root that `SandboxSpec.image` names, unpacked once into the cache under its hash.

    Raises BadConfig: it is not there, needs Docker, cannot be unpacked, or has no Python for the agent.
    """
    path = Path(image)
    if path.is_dir():
        raise BadConfig(
            f"{image}: a Dockerfile is built by Docker; bubblewrap takes a root file system as a tar"
        )
    if not path.is_file():
        raise BadConfig(f"there is no root file system {image}")
    with boundary(BadConfig, OSError, tarfile.TarError, what=f"cannot unpack {image}"):
        folder = _unpacked(path, cache_folder(cache) / "rootfs")
        for needed in (*writable, "/proc", "/dev", AGENT_INSIDE):
            inside = folder / needed.lstrip("/")
            if not inside.is_dir():
                inside.mkdir(parents=True)
    if not os.path.lexists(folder / _PYTHON.lstrip("/")):
        raise BadConfig(f"{image}: a bubblewrap sandbox needs {_PYTHON} in it")
    return Root(("--ro-bind", str(folder), "/"), _PYTHON, folder)


def _unpacked(tar: Path, roots: Path) -> Path:
    with tar.open("rb") as opened:
        name = hashlib.file_digest(opened, "sha256").hexdigest()[:32]
    folder = roots / name
    if folder.is_dir():
        return folder
    roots.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=roots))
    try:
        with tarfile.open(tar) as opened:
            opened.extraction_filter = lambda member, _: member  # Pythons differ; ours is below
            opened.extractall(unfinished, _harmless(opened, unfinished), numeric_owner=True)
        unfinished.chmod(0o755)
        if not folder.is_dir():
            unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster
            raise
    finally:
        remove_tree(unfinished)
    return folder


def _harmless(tar: tarfile.TarFile, into: Path) -> Iterator[tarfile.TarInfo]:
    """The members, each looked at just before it is extracted: no devices, no set-id bits, absolute links
    made relative, for they mean the root file system's own root. Raises TarError for a name that leads
    outside, be it through a link extracted before."""
    inside = os.path.realpath(into)
    for member in tar:
        name = member.name.lstrip("/")
        target = os.path.realpath(os.path.join(inside, name))
        if os.path.commonpath([inside, target]) != inside or (member.islnk() and _leaves(member, inside)):
            raise tarfile.TarError(f"{member.name!r} leads outside")
        if member.isdev():
            continue
        kept = copy(member)
        kept.name, kept.mode = name, member.mode & 0o1777
        if member.issym() and member.linkname.startswith("/"):
            climb = os.path.relpath("/", f"/{os.path.dirname(name)}")
            kept.linkname = os.path.join(climb, member.linkname.lstrip("/"))
        yield kept


def _leaves(link: tarfile.TarInfo, inside: str) -> bool:
    """Is a hard link to something outside?"""
    target = os.path.realpath(os.path.join(inside, link.linkname))
    return os.path.commonpath([inside, target]) != inside


def copy_content(root: Root, writable: tuple[str, ...], folder: Path, *, owner: int | None) -> None:
    """Put the first content of the writable folders into `folder`, as sub-folders 0, 1, ..., owned by the
    sandboxed user (None: by this process's). Raises OSError."""
    for index, name in enumerate(writable):
        target = folder / str(index)
        source = None if root.content is None else root.content / name.lstrip("/")
        if source is not None and source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            target.mkdir()
        if owner is not None:
            _give(target, owner)
        target.chmod(0o1777 if name in ("/tmp", "/dev/shm") else 0o755)


def _give(folder: Path, owner: int) -> None:
    """Make all of a folder a user's and its group's."""
    for inside, folders, files in os.walk(folder):
        for path in (inside, *(os.path.join(inside, each) for each in (*folders, *files))):
            os.chown(path, owner, owner, follow_symlinks=False)
