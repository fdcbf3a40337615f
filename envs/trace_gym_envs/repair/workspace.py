"""The agent's workspace: what its tools do with files, and running the tests that are shown.

Leaves out judging, which happens elsewhere on copies of the sources (see `grader`).
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import Final

from trace_gym.core.sandbox import WORKSPACE, Sandbox, SandboxLimits, SandboxSpec
from trace_gym.environment.tools import ToolError
from trace_gym_envs.parcel import Found, Packed, fetch, send

RUN_S: Final = 5
"""Seconds of processor time for a run of the tests: a busy machine changes nothing."""
WALL_S: Final = 30.0
MAX_SHOWN: Final = 8_000
MAX_LINES: Final = 400
MAX_FOUND: Final = 50
MAX_WRITTEN: Final = 200_000

SPEC: Final = SandboxSpec(
    env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
    limits=SandboxLimits(memory_mb=256, pids=32, disk_mb=16, timeout_s=60.0),
)

LATE: Final = frozenset({128 + signal.SIGXCPU, 128 + signal.SIGKILL})
"""Exit codes of programs that used up their processor time."""

_TIMES = re.compile(r"^(Ran \d+ tests?) in [\d.]+s$", re.MULTILINE)
_ADDRESSES = re.compile(r"\b0x[0-9a-f]{8,}\b")


def lay_out(box: Sandbox, files: Mapping[str, str]) -> None:
    """Fill an empty workspace."""
    send(box, WORKSPACE, {path: Packed(text.encode()) for path, text in files.items()})


def taken(box: Sandbox) -> Found:
    """All that is in the workspace now."""
    return fetch(box, WORKSPACE)


def place(path: str) -> str:
    """The absolute place of a path that an agent names. Raises ToolError for one outside of the workspace."""
    inner = path.removeprefix(f"{WORKSPACE}/").removeprefix("./")
    parts = inner.split("/")
    if not inner.isprintable() or len(inner) > 200 or any(part in ("", ".", "..") for part in parts):
        raise ToolError(f"{path[:80]!r} is no path of a file in the workspace, such as README.md.")
    return f"{WORKSPACE}/{inner}"


def text_of(content: bytes, path: str) -> str:
    """The text of a file. Raises ToolError if it is none."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ToolError(f"{path} is not a text file.") from error


def listing(files: Mapping[str, bytes]) -> str:
    """Paths with their numbers of lines."""
    return "\n".join(f"{path} ({_lines(content)} lines)" for path, content in sorted(files.items()))


def numbered(text: str, first: int, last: int) -> str:
    """Lines `first` to `last` of a text with their numbers; at most `MAX_LINES` of them."""
    lines = text.splitlines()
    if not lines:
        return "(empty)"
    if first > len(lines):
        raise ToolError(f"The file has {len(lines)} lines only.")
    last = min(last if last >= first else len(lines), len(lines), first + MAX_LINES - 1)
    shown = [f"{number:4d}  {lines[number - 1]}" for number in range(first, last + 1)]
    more = [f"(lines {last + 1} to {len(lines)} are not shown)"] if last < len(lines) else []
    return shortened("\n".join(shown + more))


def hits(files: Mapping[str, bytes], text: str) -> str:
    """The lines that hold a text, as `path:number: line`."""
    found = [
        f"{path}:{number}: {line.strip()[:200]}"
        for path, content in sorted(files.items())
        for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1)
        if text in line
    ]
    if not found:
        return f"No line holds {text[:80]!r}."
    more = [f"({len(found) - MAX_FOUND} more lines)"] if len(found) > MAX_FOUND else []
    return "\n".join(found[:MAX_FOUND] + more)


def run_tests(box: Sandbox, only: str) -> str:
    """What unittest says of the tests in the workspace, without what differs from run to run."""
    command = ["bash", "-c", f'ulimit -t {RUN_S}; exec "$@"', "bash"]
    command += ["python3", "-m", "unittest", "discover", "-s", "tests"]
    ended = box.run(command + ([f"-k{only}"] if only else []), cwd=WORKSPACE, timeout_s=WALL_S)
    if ended.out_of_memory:
        return "The tests ran out of memory."
    if ended.timed_out or ended.exit_code in LATE:
        return "The tests ran out of time and were stopped."
    text = (ended.stdout + ended.stderr).decode(errors="replace").strip()
    text = _ADDRESSES.sub("0x…", _TIMES.sub(r"\1", text))
    return shortened(text) or f"The tests said nothing and ended with exit code {ended.exit_code}."


def shortened(text: str) -> str:
    """A text without its middle where it is too long to show."""
    if len(text) <= MAX_SHOWN:
        return text
    half = MAX_SHOWN // 2
    return f"{text[:half]}\n… ({len(text) - 2 * half} characters are left out) …\n{text[-half:]}"


def _lines(content: bytes) -> int:
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))
