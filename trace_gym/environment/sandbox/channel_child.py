"""What the agent's child does: become the unprivileged user, then the program, or one file operation.

Runs inside the sandbox, with `channel_agent.py` and under its rules: Python 3.8, standard library. A file
operation happens as the sandboxed user would do it, so no link leads it further than that user gets. Leaves
out what the agent sees and kills.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the enumerations around it take long to load
import marshal
import os
import resource
import stat
import time

TYPE_CHECKING = False  # as in typing, which takes long to load
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

NICE = 10  # of commands against the agent, with which a control group shares its time
_PIECE = 1 << 20
_ORDER = 1 << 16


class Refused(Exception):
    """A file operation that cannot be done; the text says why."""


class ignoring:
    """As `contextlib.suppress`, which takes long to load."""

    def __init__(self, error: type[BaseException] | tuple[type[BaseException], ...]) -> None:
        self._error = error

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> bool:
        return kind is not None and issubclass(kind, self._error)


def serve_once(order: int, setup: dict[str, Any], streams: tuple[int, int, int]) -> NoReturn:
    """In a process of its own: get ready, wait for a request on `order` (marshalled), carry it out with
    `streams` as standard streams, and end. Without a request, end."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        for target, end in enumerate(streams):
            os.dup2(end, target)
        if setup["grouped"]:
            os.nice(NICE)
        os.umask(0o022)
        content = bytearray()
        while True:
            piece = os.read(order, _ORDER)
            if not piece:
                break
            content += piece
        code = _carry_out(marshal.loads(content), setup) if content else 0
    except OSError as error:
        _say(error.strerror or str(error))
    except (Refused, MemoryError, ImportError, LookupError, ValueError, EOFError) as error:
        _say(str(error) or type(error).__name__)
    finally:
        os._exit(code)  # whatever happened, this process must not go on as the agent


def _carry_out(request: dict[str, Any], setup: dict[str, Any]) -> int:
    """Take on the limits of a process, drop all privileges, and do it; an exit code."""
    limit(request["rlimits"])
    if setup["uid"] is not None:
        os.setgroups([])
        os.setresgid(setup["uid"], setup["uid"], setup["uid"])
        os.setresuid(setup["uid"], setup["uid"], setup["uid"])
    if request["op"] == "run":
        return _execute(request)
    os.closerange(3, 256)
    {"read": _read, "write": _write, "files": _files}[request["op"]](request)
    return 0


def limit(limits: dict[str, int]) -> None:
    """Limit this process and all that it starts, for good; names as in `resource`."""
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def _execute(request: dict[str, Any]) -> int:
    """Become the program; an exit code as a shell's where that fails."""
    name, environment = request["argv"][0], request["env"]
    try:
        os.chdir(request["cwd"])
    except OSError as error:
        _say(f"cannot enter {request['cwd']}: {error.strerror}")
        return 126
    failed = "command not found"
    for path in candidates(name, environment.get("PATH", os.defpath)):
        try:
            os.execve(path, request["argv"], environment)
        except OSError as error:
            failed = error.strerror or "cannot be run"
    _say(f"{name}: {failed}")
    return 127 if failed == "command not found" else 126


def candidates(name: str, path: str) -> Iterator[str]:
    """The files that a program's name may mean; only those that are there, for exec is slow to refuse."""
    if "/" in name:
        if os.path.lexists(name):
            yield name
        return
    for folder in path.split(":"):
        found = os.path.join(folder or ".", name)
        if os.path.isfile(found):
            yield found


def _say(text: str) -> None:
    """One line to the error stream."""
    with ignoring(OSError):
        os.write(2, (text + "\n").encode("utf-8", "surrogateescape"))


def _read(request: dict[str, Any]) -> None:
    """Write the content of a regular file to standard output."""
    opened = os.open(request["path"], os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    about, most = os.fstat(opened), request["max_bytes"]
    if not stat.S_ISREG(about.st_mode):
        raise Refused("not a regular file")
    if about.st_size > most:
        raise Refused(f"{about.st_size} bytes, more than the {most} that may be read")
    left = most
    while True:
        data = os.read(opened, _PIECE)
        if not data:
            return
        left -= len(data)
        if left < 0:
            raise Refused(f"more than the {most} bytes that may be read")
        _put(1, data)


def _write(request: dict[str, Any]) -> None:
    """Replace a file by what comes on standard input."""
    target = _inside(request["path"], request["writable"])
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    if os.path.isdir(target) and not os.path.islink(target):
        raise Refused("is a folder")
    data = os.read(0, _PIECE)  # before anything is made: who never sends leaves no trace
    unfinished = os.path.join(folder, f".{time.monotonic_ns()}.unfinished")
    opened = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        while data:
            _put(opened, data)
            data = os.read(0, _PIECE)
        os.fchmod(opened, request["mode"])
        os.rename(unfinished, target)
    except BaseException:
        os.unlink(unfinished)
        raise


def _files(request: dict[str, Any]) -> None:
    """Print the regular files below a folder and their sizes, a zero byte after each path and size."""
    top, most = request["path"], request["most"]
    if not os.path.isdir(top):
        raise Refused("no such folder")
    lines = []
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            about = os.lstat(path)
            if stat.S_ISREG(about.st_mode):
                lines.append(f"{os.path.relpath(path, top)}\0{about.st_size}\0")
        if len(lines) > most:
            raise Refused(f"more than {most} files")
    _put(1, os.fsencode("".join(lines)))


def _inside(path: str, writable: list[str]) -> str:
    """A path with the links in its folder resolved. Refused where that lies outside the writable folders."""
    folder, name = os.path.split(path)
    real = os.path.realpath(folder)
    if name in ("", ".", ".."):
        raise Refused("not the name of a file")
    if not any(real == top or real.startswith(top + "/") for top in writable):
        raise Refused("outside the writable folders")
    return os.path.join(real, name)


def _put(descriptor: int, data: bytes) -> None:
    """Write all of it."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
