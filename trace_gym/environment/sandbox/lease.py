"""State folders of sandboxes: one per provider and process, with a lease that tells whether its owner lives.

The lease is a lock on a file, which the kernel drops when the process dies, however it dies. `reap` removes
what dead owners left: mounts (loop devices go with them), control groups, folders. Leaves out containers.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trace_gym.core.errors import SandboxFailed, boundary
from trace_gym.environment.sandbox.cgroups import remove_groups
from trace_gym.environment.sandbox.mounts import clear_mounts

_LEASE = "lease"
_MADE_WITHIN_S = 60.0
_REMOVED_WITHIN_S = 600.0


def state_root() -> Path:
    """Where this user's state folders lie: below the folder for temporary files (TMPDIR)."""
    return Path(tempfile.gettempdir()) / f"trace-gym-{os.getuid()}"


class StateFolder:
    """A folder that belongs to this process. Lifecycle: leased at construction, gone after `close`."""

    def __init__(self, kind: str) -> None:
        """`kind` begins its name. Raises SandboxFailed: it cannot be made."""
        with boundary(SandboxFailed, OSError, what="cannot make the folder for sandboxes"):
            root = state_root()
            root.mkdir(mode=0o700, exist_ok=True)
            owner = root.stat()
            if owner.st_uid != os.getuid() or owner.st_mode & 0o022:
                raise PermissionError(f"{root} belongs to somebody else or is open to others")
            # It gets its name when its lease is held, so that nobody finds it without an owner.
            made = Path(tempfile.mkdtemp(prefix=f".{kind}-{os.getpid()}-", dir=root))
            self._lock = os.open(made / _LEASE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path = made.rename(made.with_name(made.name.removeprefix(".")))

    @property
    def name(self) -> str:
        """Its own name, unique on this machine; control groups and containers carry it."""
        return self.path.name

    def close(self) -> None:
        """Unmount and remove everything in it. May be called again."""
        if self._lock >= 0:
            _remove(self.path)
            os.close(self._lock)
            self._lock = -1


def reap() -> list[str]:
    """Remove the state folders of this user whose owners are dead; their names.

    Raises SandboxFailed: something in one of them cannot be removed.
    """
    gone = []
    for folder, lock in _abandoned():
        try:
            _remove(folder)
        finally:
            os.close(lock)
        gone.append(folder.name)
    return gone


def dead() -> list[str]:
    """The names of the state folders that `reap` would remove."""
    found = []
    for folder, lock in _abandoned():
        os.close(lock)
        found.append(folder.name)
    return found


def _abandoned() -> Iterator[tuple[Path, int]]:
    """The state folders whose owners are dead, each with its lease, locked and for the caller to close."""
    for folder in _folders():
        missing = os.O_CREAT if folder.name.startswith(".") else 0
        try:
            lock = os.open(folder / _LEASE, os.O_RDWR | os.O_CLOEXEC | missing, 0o600)
        except FileNotFoundError:
            continue  # its owner is removing it at this moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        if os.fstat(lock).st_nlink == 0:
            os.close(lock)
            continue  # its owner has removed it
        yield folder, lock


def _folders() -> Iterator[Path]:
    """The state folders of this user, and what a process that died while it made one left unnamed."""
    root = state_root()
    if root.is_dir():
        for entry in sorted(root.iterdir()):
            if entry.is_dir() and not (entry.name.startswith(".") and _age_s(entry) < _MADE_WITHIN_S):
                yield entry


def _age_s(folder: Path) -> float:
    """How long a folder has stood unchanged; 0 for one that its maker has renamed or removed by now."""
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(folder: Path) -> None:
    with boundary(SandboxFailed, OSError, what=f"cannot remove {folder}"):
        end_orphans(folder)
        remove_groups(folder.name)
        clear_mounts(folder)
        for entry in folder.iterdir():
            if entry.name != _LEASE:
                remove_tree(entry)
        # The lease goes last and in one step with its folder, so that an interrupted removal is found again.
        shutil.rmtree(folder)


def end_orphans(folder: Path) -> None:
    """Kill the bubblewraps that were started with something of a state folder. They die with their parent,
    but for one whose parent died before it had asked the kernel for that."""
    mark = os.fsencode(f"{folder}/")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if os.path.basename(words[0]) == b"bwrap" and any(word.startswith(mark) for word in words):
                os.kill(int(process.name), signal.SIGKILL)


def remove_tree(path: Path) -> None:
    """Remove a file or a folder and what is below it, whatever its permissions and depth; missing is fine.
    Raises OSError."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError):
        # A program may have nested folders deeper than any path is long, or taken the owner's rights away.
        for words in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            done = subprocess.run(
                [*words, "--", str(path)],
                capture_output=True,
                text=True,
                timeout=_REMOVED_WITHIN_S,
                check=False,
            )
        if done.returncode != 0:
            raise OSError(f"cannot remove {path}: {done.stderr.strip()[-300:]}") from None
