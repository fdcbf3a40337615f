"""Writable folders of a bubblewrap sandbox without overlays: in its memory, copied to the disk and back.

What stands in for layers where this process is not root or may not mount. The folders are tmpfs file systems
of a fixed size in the sandbox, so the disk limit holds; a snapshot copies them out, a fork copies them in.
When the sandbox itself dies they are what they were at the last snapshot. Leaves out layers (`tree.py`).
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Literal

from trace_gym.core.errors import SandboxFailed, boundary
from trace_gym.environment.sandbox.layers import TOO_DEEP, Layer, Slot
from trace_gym.environment.sandbox.lease import remove_tree

_PATIENCE_S = 600.0
# Enter a user name space, and keep across exec the capabilities that files need (as ambient ones): 0 CHOWN,
# 1 DAC_OVERRIDE, 2 DAC_READ_SEARCH, 3 FOWNER, 19 SYS_PTRACE. 47, 2 is PR_CAP_AMBIENT_RAISE.
_ENTER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def must(done):
    if done:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
must(libc.setns(os.open(sys.argv[1], os.O_RDONLY | os.O_CLOEXEC), 0x10000000))
head, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
must(libc.capget(head, held))
held[2], held[5] = held[1], held[4]
must(libc.capset(head, held))
for capability in (0, 1, 2, 3, 19):
    must(libc.prctl(47, 2, capability, 0, 0))
os.execvp("sh", ["sh", "-c", sys.argv[2]])
"""


class Copies:
    """The copies of one state folder; the interface of `Layers`. Safe to use from many threads."""

    method: Literal["copy"] = "copy"

    def __init__(self, folder: Path) -> None:
        """`folder`: a state folder's path. Raises SandboxFailed."""
        self._folder = folder
        self._lock = Lock()
        self._numbers = count()

    def slot(self, folders: int) -> Slot:
        """A slot that shows nothing: the folders are the sandbox's own."""
        return Slot(self._folder, ())

    def drop_slot(self, slot: Slot) -> None:
        """Nothing was made for it."""

    def base(self, fill: Callable[[Path], None]) -> Layer:
        """A copy with what `fill` puts into an empty folder, held by the caller. Raises SandboxFailed."""
        with self._lock:
            path = self._folder / f"copy-{next(self._numbers)}"
        with boundary(SandboxFailed, OSError, what="cannot make a copy of the writable folders"):
            path.mkdir(mode=0o755)
            fill(path)
        return Layer(path, parent=None, volume=None, used=0)

    def retain(self, layer: Layer) -> Layer:
        """Hold a copy once more."""
        with self._lock:
            layer.holders += 1
        return layer

    def release(self, layer: Layer) -> None:
        """Let go of a copy; what nobody holds is removed."""
        with self._lock:
            layer.holders -= 1
            gone = layer.holders == 0
        if gone:
            with boundary(SandboxFailed, OSError, what="cannot remove a copy"):
                remove_tree(layer.path)

    def close(self) -> None:
        """Files go with the state folder."""


class CopyTree:
    """The writable folders of one sandbox; the interface of `Tree`. `process`: a process in the sandbox, as
    the host numbers it, which changes when the sandbox starts again."""

    def __init__(
        self, copies: Copies, base: Layer, *, process: Callable[[], int], folders: Sequence[str]
    ) -> None:
        """Holds `base` by itself and fills the folders from it. Raises SandboxFailed."""
        self._copies = copies
        self._process = process
        self._folders = folders
        self._last = copies.retain(base)
        self._closed = False
        self.attach()

    def freeze(self) -> Layer:
        """A copy of all that the folders hold now, which its caller holds. Raises SandboxFailed."""

        def fill(path: Path) -> None:
            for index in range(len(self._folders)):
                (path / str(index)).mkdir()
            self._inside(
                _copy(source, shlex.quote(str(path / str(index))))
                for index, source in enumerate(self._sources())
            )

        made = self._copies.base(fill)
        before, self._last = self._last, made
        self._copies.release(before)
        return self._copies.retain(made)

    def settle(self) -> None:
        """Nothing: a copy leaves what it is taken from as it was."""

    def restore(self, layer: Layer) -> None:
        """Make the folders what they were when `layer` was made. Raises SandboxFailed."""
        self._copies.retain(layer)
        before, self._last = self._last, layer
        self._copies.release(before)
        self.attach()

    def attach(self) -> None:
        """Fill the folders from the last copy (again). Raises SandboxFailed."""
        with boundary(SandboxFailed, OSError, what="cannot fill the writable folders"):
            self._inside(
                f"find {target} -mindepth 1 -delete && "
                + _copy(shlex.quote(str(self._last.path / str(index))), target)
                for index, target in enumerate(self._sources())
            )

    def detach(self) -> None:
        """The folders go with the sandbox."""

    def close(self) -> None:
        """Empty the folders and let go of the copy. May be called again. Raises SandboxFailed."""
        if self._closed:
            return
        self._closed = True
        self._copies.release(self._last)

    def _sources(self) -> list[str]:
        """The folders as the host reaches them."""
        return [shlex.quote(f"/proc/{self._process()}/root{name}") for name in self._folders]

    def _inside(self, commands: Iterable[str]) -> None:
        """Run shell commands on the host's files with the rights of the sandbox's user name space, in which
        no permission of the sandboxed user's own files stands in the way. Raises OSError."""
        script = " && ".join(f"{{ {command}; }}" for command in commands)
        words = [sys.executable, "-I", "-S", "-c", _ENTER, f"/proc/{self._process()}/ns/user", script]
        try:
            subprocess.run(words, check=True, capture_output=True, text=True, timeout=_PATIENCE_S)
        except subprocess.CalledProcessError as error:
            raise OSError(f"copying failed: {error.stderr.strip()[-500:]}") from error
        except subprocess.SubprocessError as error:
            raise OSError(f"copying failed: {error}") from error


def _copy(source: str, target: str) -> str:
    """The command that copies all in a folder; what lies deeper than any path is long is left behind."""
    return f"LC_ALL=C cp -a {source}/. {target}/ 2>&1 | {{ ! grep -v {shlex.quote(TOO_DEEP)} >&2; }}"
